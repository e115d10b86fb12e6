"""Authlib's opaque token in process: for each line that comes in, nanoseconds a token of one round, by post and by Basic.

Nothing but Authlib and what it asks of its user is measured: no HTTP server, no framework. As ours it gets the octets of a form and gives
those of the answer; tokens are kept in a dict, the secret's SHA-256 is compared in constant time, 32 octets come from the system.
"""
import hmac
import json
import secrets
import sys
import time
from base64 import b64encode
from hashlib import sha256
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator

METHODS = ["client_secret_basic", "client_secret_post"]
SECRET = "Zk3fD1uSm2yqz0o0C1lq0T2sV9x5yKcWmB7hJ4nE8aQ"
FORM = b"grant_type=client_credentials&scope=write"
BY_POST = {}, FORM + b"&client_id=myClient&client_secret=" + SECRET.encode()
BY_BASIC = {"Authorization": "Basic " + b64encode(f"myClient:{SECRET}".encode()).decode()}, FORM
ROUND = 100_000_000


class Client(ClientMixin):
    scopes = frozenset(["write"])
    secret = sha256(SECRET.encode()).digest()

    def get_client_id(self):
        return "myClient"

    def get_allowed_scope(self, scope):
        return " ".join([each for each in scope.split() if each in self.scopes])

    def check_client_secret(self, secret):
        return hmac.compare_digest(sha256(secret.encode()).digest(), self.secret)

    def check_endpoint_auth_method(self, method, endpoint):
        return method in METHODS

    def check_grant_type(self, grant_type):
        return grant_type == "client_credentials"


class Request(OAuth2Request):
    def __init__(self, headers, body):
        super().__init__("POST", "https://as.example.com/oauth2/access_token", headers=headers)
        self.payload = BasicOAuth2Payload(dict(parse_qsl(body.decode())))

    @property
    def form(self):
        return self.payload.data


class Grant(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS


class Server(AuthorizationServer):
    def __init__(self):
        super().__init__(scopes_supported=["read", "write"])
        self.clients = {"myClient": Client()}
        self.tokens = {}
        generator = BearerTokenGenerator(lambda **_: secrets.token_urlsafe(32), expires_generator=3600)
        self.register_token_generator("default", generator)
        self.register_grant(Grant)

    def query_client(self, client_id):
        return self.clients.get(client_id)

    def save_token(self, token, request):
        self.tokens[token["access_token"]] = request.client, token, time.time()

    def create_oauth2_request(self, request):
        return Request(*request)

    def handle_response(self, status, payload, headers):
        return status, json.dumps(payload).encode(), headers

    def send_signal(self, name, *arguments, **named):
        pass


def per_token(server, request):
    start, calls, took = time.perf_counter_ns(), 0, 0
    while took < ROUND:
        for _ in range(50):
            status, _, _ = server.create_token_response(request)
        calls += 50
        took = time.perf_counter_ns() - start
    assert status == 200 and len(server.tokens) == calls
    server.tokens.clear()
    return took / calls


def main():
    server = Server()
    for _ in sys.stdin:
        print(per_token(server, BY_POST), per_token(server, BY_BASIC), sep="\t", flush=True)


if __name__ == "__main__":
    main()
