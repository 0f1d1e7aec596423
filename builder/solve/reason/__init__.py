"""Why a step ran: what its cache key was made of, compared with the last build's."""
