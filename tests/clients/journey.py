"""requests-oauthlib: tokens with each kind of credentials, introspection, revocation. ISSUER names the server."""

import os

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # plain http on loopback

import requests
from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError, InvalidScopeError, OAuth2Error
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

issuer = os.environ["ISSUER"]
document = requests.get(f"{issuer}/.well-known/oauth-authorization-server", timeout=30).json()
token_url = document["token_endpoint"]


def session(client_id, scope=None):
    return OAuth2Session(client=BackendApplicationClient(client_id=client_id, scope=scope))


def ask(member, client_id, secret, **form):
    answer = requests.post(document[member], data=form, auth=HTTPBasicAuth(client_id, secret), timeout=30)
    assert answer.status_code == 200, (member, answer.status_code, answer.text)
    assert answer.headers["Cache-Control"] == "no-store", answer.headers
    return answer.json()


secret = "e7Jq-mT2vRk9_wXz"
for credentials in (
    {"auth": HTTPBasicAuth("journey", secret)},
    {"client_id": "journey", "client_secret": secret},  # the library's default: Basic
    {"client_secret": secret, "include_client_id": True},  # in the body
    {"auth": HTTPBasicAuth("journey", secret), "include_client_id": True},  # Basic, and the same client_id in the body
):
    token = session("journey", ["read", "write"]).fetch_token(token_url, **credentials)
    assert token["token_type"] == "Bearer" and token["expires_in"] in (3599, 3600), token
    assert token["scope"] == ["read", "write"], token
    value = token["access_token"]
    told = ask("introspection_endpoint", "journey", secret, token=value, token_type_hint="access_token")
    assert told["active"] is True and told["client_id"] == told["sub"] == "journey" and told["iss"] == issuer, told
    assert ask("revocation_endpoint", "journey", secret, token=value) == {}
    assert ask("introspection_endpoint", "journey", secret, token=value) == {"active": False}

# The audience asks, who may not have tokens of its own.
token = session("journey").fetch_token(token_url, auth=HTTPBasicAuth("journey", secret), resource="https://api.example.com")
assert token["scope"] == ["read"], "the default scope"
told = ask("introspection_endpoint", "api", "R3source-Server-1", token=token["access_token"])
assert told["aud"] == "https://api.example.com", told

# requests puts id and secret into Basic as they are: `basic_encoding = "raw"`.
assert session("raw").fetch_token(token_url, auth=HTTPBasicAuth("raw", "p%q+r s:t/&="))["access_token"]

for client_id, password, scope, wanted in (
    ("journey", "wrong", "read", InvalidClientError),
    ("nobody", secret, "read", InvalidClientError),
    ("journey", secret, "delete", InvalidScopeError),
):
    try:
        session(client_id, [scope]).fetch_token(token_url, auth=HTTPBasicAuth(client_id, password))
    except OAuth2Error as error:
        assert isinstance(error, wanted), error
    else:
        raise AssertionError(f"{client_id} got a token for {scope}")

print("requests-oauthlib: tokens by Basic, raw Basic and body, introspection, revocation, refusals")
