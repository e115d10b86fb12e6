"""requests over mutual TLS: who has which certificate, and what the tokens are bound to. ISSUER names the server, TLS the files."""

import base64
import hashlib
import os
import ssl

import requests

issuer, folder = os.environ["ISSUER"], os.environ["TLS"]


def session(name=None):
    session = requests.Session()
    session.trust_env = False  # neither proxies nor other roots
    session.verify = f"{folder}/ca.pem"
    if name:
        session.cert = (f"{folder}/{name}.pem", f"{folder}/{name}.key")
    return session


def thumbprint(name):
    with open(f"{folder}/{name}.pem") as file:
        der = ssl.PEM_cert_to_DER_cert(file.read())
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


document = session().get(f"{issuer}/.well-known/oauth-authorization-server", timeout=30).json()
assert {"tls_client_auth", "self_signed_tls_client_auth"} <= set(document["token_endpoint_auth_methods_supported"]), document
assert document["tls_client_certificate_bound_access_tokens"] is True, document


def ask(session, client_id, **others):
    form = {"grant_type": "client_credentials", "client_id": client_id} | others
    return session.post(document["token_endpoint"], data=form, timeout=30)


for client_id in ("by-dn", "by-uri", "own"):
    with session(client_id) as mine:
        token = ask(mine, client_id)
        assert token.status_code == 200 and token.json()["token_type"] == "Bearer", (client_id, token.text)
        form = {"token": token.json()["access_token"], "client_id": client_id}
        told = mine.post(document["introspection_endpoint"], data=form, timeout=30).json()
        assert told["active"] is True and told["cnf"] == {"x5t#S256": thumbprint(client_id)}, told
        assert mine.post(document["revocation_endpoint"], data=form, timeout=30).status_code == 200
        assert mine.post(document["introspection_endpoint"], data=form, timeout=30).json() == {"active": False}

# Nobody's certificate, another client's, one with the right name by another authority.
for name, client_id in ((None, "by-dn"), ("by-uri", "by-dn"), ("by-dn", "by-uri"), ("forged", "by-uri"), ("by-dn", "own"), ("own", "by-dn")):
    refused = ask(session(name), client_id)
    assert refused.status_code == 401 and refused.json()["error"] == "invalid_client", (name, client_id, refused.text)

# A client with a secret, whose tokens are bound to whatever certificate it shows; not without one.
secret = {"client_secret": "e7Jq-mT2vRk9_wXz"}
assert ask(session("by-uri"), "secret", **secret).status_code == 200
refused = ask(session(), "secret", **secret)
assert refused.status_code == 400 and refused.json()["error"] == "invalid_request", refused.text

print("requests: tls_client_auth by subject and URI, self_signed_tls_client_auth, bound tokens")
