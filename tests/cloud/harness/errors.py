"""What the platform answers when it refuses, in the form of each of AWS's protocols."""

import json
from dataclasses import dataclass
from xml.sax.saxutils import escape


class Refused(Exception):
    """A call that is refused.

    Args:
        code: AWS's name of the error.
        message: its text.
        status: the HTTP status.
        members: further members that the error's shape has.
    """

    def __init__(self, code: str, message: str, status: int = 400, **members: object) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status, self.members = code, message, status, members


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def written(refused: Refused, protocol: str) -> Answer:
    """Return the error as a protocol of AWS writes it; botocore reads it again."""
    writer = {"rest-xml": _xml, "query": _query, "smithy-rpc-v2-cbor": _cbor}.get(protocol, _json)
    return writer(refused)


def _json(refused: Refused) -> Answer:
    # JSON services name the error in the body, REST services in a header; botocore reads either.
    card = {"__type": refused.code, "message": refused.message, "Message": refused.message, **refused.members}
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": refused.code}
    return Answer(refused.status, headers, json.dumps(card).encode())


def _xml(refused: Refused) -> Answer:
    text = f"<Error><Code>{refused.code}</Code><Message>{escape(refused.message)}</Message></Error>"
    return Answer(refused.status, {"Content-Type": "application/xml"}, text.encode())


def _query(refused: Refused) -> Answer:
    text = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{refused.code}</Code>"
        f"<Message>{escape(refused.message)}</Message></Error><RequestId>0</RequestId></ErrorResponse>"
    )
    return Answer(refused.status, {"Content-Type": "text/xml"}, text.encode())


def _cbor(refused: Refused) -> Answer:
    def text(value: str) -> bytes:
        data = value.encode()
        return b"\x79" + len(data).to_bytes(2, "big") + data

    body = b"\xa2" + text("__type") + text(refused.code) + text("message") + text(refused.message)
    headers = {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
    return Answer(refused.status, headers, body)
