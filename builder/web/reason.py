"""Why an answer could not be had: the exceptions of urllib3, http.client and the system → a few words for a user.

Whatever a library says of it (addresses in memory, errno in brackets, the URL once more) stays behind.
"""

from __future__ import annotations

import http.client
import os
import ssl

import urllib3.exceptions as failures

from builder.web.patience import TooSlowError


def reason_of(error: BaseException) -> str:
    """Return what `error` and those behind it come down to."""
    for each in _behind(error):
        if found := _words(each):
            return found
    return "the connection failed"


def _behind(error: BaseException) -> list[BaseException]:
    """Return the causes of an error and itself, innermost first."""
    chain: list[BaseException] = []
    pending: list[object] = [error]
    while pending:
        each = pending.pop(0)
        if isinstance(each, BaseException) and each not in chain:
            chain.append(each)
            pending += [getattr(each, "reason", None), each.__cause__, *each.args]
    return chain[::-1]


def _words(error: BaseException) -> str:
    match error:
        case TooSlowError():
            return str(error)
        case failures.NameResolutionError():
            return "its name cannot be resolved"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not accepted: {_lower(error.verify_message or 'it does not fit')}"
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | ssl.SSLSyscallError():
            return "the connection broke off within TLS"
        case ssl.SSLError():
            return f"TLS failed: {_lower((error.reason or 'no connection').replace('_', ' ')).lower()}"
        case failures.ConnectTimeoutError():
            return "" if isinstance(error, failures.NewConnectionError) else "it cannot be connected to in time"
        case failures.ReadTimeoutError():
            return "it does not answer in time"
        case failures.InvalidChunkLength() | failures.IncompleteRead() | http.client.IncompleteRead():
            return "the answer was cut short"
        case failures.ProtocolError() if error.args and isinstance(error.args[0], str) and len(error.args) == 1:
            return "the answer was cut short"  # of its own making: "Response ended prematurely"
        case failures.LocationValueError():
            return "its address cannot be used"
        case failures.ProxySchemeUnknown():
            return "the address of the proxy is none of http:// or https://"
        case http.client.RemoteDisconnected():
            return "it closed the connection without an answer"
        case http.client.LineTooLong():
            return "a line of its headers is too long"
        case http.client.BadStatusLine():
            return "it does not answer in HTTP"
        case http.client.HTTPException():
            return "its answer is malformed"
        case failures.InvalidHeader():
            return "its headers contradict each other"
        case OSError(errno=int(number)) if number > 0 and not isinstance(error, failures.HTTPError):
            return _lower(os.strerror(number))
    return ""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:200]
