"""Make a Python client of the API from its OpenAPI document: one module, without packages."""

import json
import re
from typing import Any

HEAD = '''"""A client of loan-scoring, release {version}, made from its OpenAPI document.

    client = Client("http://localhost:8080", "ann", "her password")
    client.score("loan_default", {{"applications": [...]}})

It needs nothing but Python 3.11.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

JSON = {{"Content-Type": "application/json"}}


class Problem(Exception):
    """An answer of the API that says what is wrong: status, detail, and errors by field."""

    def __init__(self, status: int, detail: str, errors: list[dict[str, Any]]) -> None:
        super().__init__(f"{{status}}: {{detail}}")
        self.status, self.detail, self.errors = status, detail, errors


class Client:
    """Calls of the API as a user of Airflow, who logs in at the first call."""

    def __init__(
        self, url: str, username: str = "", password: str = "", *, token: str = ""
    ) -> None:
        self.url, self.token = url.rstrip("/"), token
        self._user = {{"username": username, "password": password}}

    def log_in(self) -> None:
        """Get a token from Airflow. When it has ended, a call gets a new one."""
        status, answer = self.send(
            "POST", self.url + "/auth/token", json.dumps(self._user).encode(), JSON
        )
        if status >= 400:
            raise Problem(status, "Airflow refuses this user name and password", [])
        self.token = json.loads(answer)["access_token"]

    def send(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        """Send a request, and return the status and the body of the answer."""
        request = urllib.request.Request(url, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def _call(self, method: str, path: str, query: dict[str, Any], body: Any = None) -> Any:
        asked = {{name: value for name, value in query.items() if value is not None}}
        url = self.url + {base!r} + path + ("?" + urllib.parse.urlencode(asked) if asked else "")
        sent = None if body is None else json.dumps(body).encode()
        for is_last in (False, True):
            if not self.token or is_last:
                self.log_in()
            status, answer = self.send(
                method, url, sent, {{**JSON, "Authorization": "Bearer " + self.token}}
            )
            if status != 401 or not self._user["username"]:
                break
        if status >= 400:
            try:
                found = json.loads(answer)
            except ValueError:
                found = {{}}
            detail = str(found.get("detail", "the server gave no reason"))
            raise Problem(status, detail, found.get("errors", []))
        text = answer.decode()
        return json.loads(text) if text[:1] in "{{[" else text

    @staticmethod
    def _part(value: Any) -> str:
        return urllib.parse.quote(str(value), safe="")
'''

METHOD = '''
    def {name}(self{arguments}) -> Any:
        """{summary}

        {description}
        """
        return self._call({verb!r}, {path}, {query}{body})
'''


def client_module(document: dict[str, Any]) -> str:
    """Return the text of a module with a class `Client` that has a method for each operation.

    Args:
        document: OpenAPI document of the API.
    """
    base = document["servers"][0]["url"].rstrip("/")
    text = HEAD.format(version=document["info"]["version"], base=base)
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            text += _method(path, verb, operation)
    return text


def _method(path: str, verb: str, operation: dict[str, Any]) -> str:
    parameters = operation.get("parameters", [])
    places = re.findall(r"{(\w+)}", path)
    asked = [each["name"] for each in parameters if each["in"] == "query"]
    has_body = "requestBody" in operation
    arguments = "".join(f", {name}: str" for name in places)
    arguments += ", body: dict[str, Any]" * has_body
    if asked:
        arguments += ", *" + "".join(f", {name}: Any = None" for name in asked)
    address = re.sub(r"{(\w+)}", r"{self._part(\1)}", path)
    query = "{" + ", ".join(f"{json.dumps(name)}: {name}" for name in asked) + "}"
    summary, _, rest = operation.get("description", operation["summary"]).partition("\n")
    given = [
        f"{each['name']}: {each['description']}." for each in parameters if "description" in each
    ]
    description = "\n        ".join(
        line for line in [*rest.strip().splitlines(), *given] if line.strip()
    )
    made = METHOD.format(
        name=operation["operationId"], arguments=arguments, summary=summary,
        description=description, verb=verb.upper(), path=f'f"{address}"', query=query,
        body=", body" * has_body,
    )  # fmt: skip
    return re.sub(r"\n\n        \n        \"\"\"", '"""', made) if not description else made
