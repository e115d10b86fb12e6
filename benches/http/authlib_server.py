"""Authlib's Flask server with one client of the client credentials grant: opaque tokens, client_secret_basic, tokens in a dict."""
import hashlib
import hmac
import os
import secrets
import time

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from flask import Flask


class Client(ClientMixin):
    def __init__(self, client_id, client_secret):
        self.client_id = client_id
        self.verifier = hashlib.sha256(client_secret.encode()).digest()

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return " ".join(each for each in (scope or "").split() if each == "write")

    def check_client_secret(self, client_secret):
        return hmac.compare_digest(hashlib.sha256(client_secret.encode()).digest(), self.verifier)

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type):
        return grant_type == "client_credentials"


class ClientCredentialsGrant(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic"]


def save_token(token, request):
    tokens[token["access_token"]] = (request.client.client_id, token["scope"], time.time() + token["expires_in"])


tokens = {}
clients = {os.environ["CLIENT_ID"]: Client(os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"])}

app = Flask(__name__)
app.config["OAUTH2_ACCESS_TOKEN_GENERATOR"] = lambda **_: secrets.token_urlsafe(32)
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"client_credentials": 3600}
server = AuthorizationServer(app, query_client=clients.get, save_token=save_token)
server.register_grant(ClientCredentialsGrant)


@app.post("/token")
def token():
    return server.create_token_response()
