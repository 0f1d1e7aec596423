"""The page: an image explained in one HTML file that needs no network, no server and nothing installed."""
