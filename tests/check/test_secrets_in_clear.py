"""What is a secret by its shape alone, and what only looks like one. None of these is real."""

from __future__ import annotations

import pytest

from waystage.check import check_lifecycle
from waystage.errors import Problem
from waystage.registry import load_catalog
from waystage.spec.load import parse_lifecycle

LIFECYCLE = """\
lifecycle: loan
services: [credit-risk]
initial: tell
states:
  tell:
    steps: [{use: notify, with: {to: mlops, text: "TEXT"}}]
    next: closed
  closed: {final: true}
"""
BODY = "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA2"  # 36 characters
SURE = {
    "an AWS access key": "AKIA" + "ABCDEFGHIJKLMNOP",
    "a GitHub token": "ghp_" + BODY,
    "a GitLab token": "glpat-" + BODY[:20],
    "a Slack token": "xoxb-" + "1234567890-abcdef",
    "a Slack webhook": "https://hooks.slack.com/services/" + "T0001/B0002/" + BODY[:24],
    "a Teams webhook": "https://flows.example/hook?api-version=1&sig=" + BODY,
    "an OpenShift token": "sha256~" + BODY + "abcd1234",
    "a JSON Web Token": ".".join(("eyJ" + "hbGciOiJI", "eyJ" + "zdWIiOiIx", BODY)),
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "a password in an address": "https://deploy:" + "correct-horse@git.example.org/x.git",
}
LIKELY = {
    "a bearer token": "Bearer " + BODY[:20],
    "a password in an address": "postgresql://me:" + "postgres@localhost:5432/name",
    "a random key": BODY,
}
NOTHING = (
    "https://git.example.org/x.git",
    "postgresql://me@db.example/name",
    "https://user:{{ params.token }}@git.example.org",
    "sha256:" + "0123456789abcdef" * 4,
    "AKIA is how access keys begin",
    "bearer of good news",
)


def told(text: str) -> list[Problem]:
    found = check_lifecycle(parse_lifecycle(LIFECYCLE.replace("TEXT", text)), None, load_catalog())
    return [each for each in found if "SECRET" in each.code]


@pytest.mark.parametrize(("what", "text"), SURE.items())
def test_the_shape_of_a_token_is_an_error(what: str, text: str) -> None:
    (problem,) = told(f"see {text} there")
    assert (problem.code, problem.severity) == ("E-SECRET-IN-CLEAR", "error")
    assert problem.message == f"is {what} in clear"
    assert problem.line == 6
    assert text not in str(problem)


@pytest.mark.parametrize(("what", "text"), LIKELY.items())
def test_what_may_be_something_else_is_a_warning(what: str, text: str) -> None:
    (problem,) = told(text)
    assert (problem.code, problem.severity) == ("W-SECRET-IN-CLEAR", "warning")
    assert problem.message == f"looks like {what} in clear"


@pytest.mark.parametrize("text", NOTHING)
def test_what_is_no_secret_is_not_told(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize("host", ["localhost.example.org", "127.0.0.10", "db.example"])
def test_only_this_machine_is_this_machine(host: str) -> None:
    (problem,) = told(f"postgresql://me:{'postgres'}@{host}/name")
    assert problem.severity == "error"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:5432", "[::1]:5432"])
def test_a_password_for_this_machine_is_a_warning(host: str) -> None:
    (problem,) = told(f"postgresql://me:{'postgres'}@{host}/name")
    assert problem.severity == "warning"
