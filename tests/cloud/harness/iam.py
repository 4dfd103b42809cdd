"""`SimulatePrincipalPolicy`, which moto does not have: every action is allowed."""

from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from harness.errors import Answer

_ROW = (
    "<member><EvalActionName>{}</EvalActionName><EvalResourceName>{}</EvalResourceName>"
    "<EvalDecision>allowed</EvalDecision><MatchedStatements/><MissingContextValues/></member>"
)


def simulated(body: bytes) -> Answer:
    """Answer for every action that a request names, on every resource of it."""
    given = parse_qsl(body.decode())
    actions = [value for name, value in given if name.startswith("ActionNames.member.")]
    resources = [value for name, value in given if name.startswith("ResourceArns.member.")] or ["*"]
    rows = "".join(_ROW.format(escape(action), escape(one)) for action in actions for one in resources)
    text = (
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>{rows}"
        "</EvaluationResults></SimulatePrincipalPolicyResult><ResponseMetadata><RequestId>0</RequestId>"
        "</ResponseMetadata></SimulatePrincipalPolicyResponse>"
    )
    return Answer(200, {"Content-Type": "text/xml"}, text.encode())
