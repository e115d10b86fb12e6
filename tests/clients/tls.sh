#!/usr/bin/env bash
# Certificates made by openssl, a token_server over TLS, and clients of Python (ssl) and Node (https, openid-client).
# Usage: tls.sh path/to/token_server folder; the folder has the libraries (see `run`).
set -euo pipefail
program=$1 folder=$2
here=$(cd "$(dirname -- "$0")" && pwd)
export TLS="$folder/tls"
mkdir "$TLS"

# An authority, the server, a client with RSA and one with P-256, one of another authority, and one that signs itself.
certificate() { # name, the key's type, subject, extensions, authority
    # Both kinds of keys are made with openssl's defaults otherwise.
    case $2 in
        rsa) openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$TLS/$1.key" ;;
        ec) openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$TLS/$1.key" ;;
    esac
    openssl req -new -key "$TLS/$1.key" -subj "$3" -out "$TLS/$1.csr"
    printf '%b' "$4" >"$TLS/$1.ext"
    if [ "$5" = itself ]; then
        openssl x509 -req -in "$TLS/$1.csr" -key "$TLS/$1.key" -days 2 -extfile "$TLS/$1.ext" -out "$TLS/$1.pem" 2>/dev/null
    else
        openssl x509 -req -in "$TLS/$1.csr" -CA "$TLS/$5.pem" -CAkey "$TLS/$5.key" -CAcreateserial -days 2 \
            -extfile "$TLS/$1.ext" -out "$TLS/$1.pem" 2>/dev/null
    fi
}
authority='basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n'
for name in ca other; do certificate $name ec "/O=$name" "$authority" itself; done
certificate server ec /CN=localhost 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' ca
certificate by-dn rsa '/C=US/O=Example, Inc./CN=svc\+one' 'extendedKeyUsage=clientAuth\n' ca
certificate by-uri ec /CN=x 'subjectAltName=URI:spiffe://example.com/reports\nextendedKeyUsage=clientAuth\n' ca
certificate forged ec /CN=x 'subjectAltName=URI:spiffe://example.com/reports\nextendedKeyUsage=clientAuth\n' other
certificate own ec /CN=own 'extendedKeyUsage=clientAuth\n' itself

subject=$(openssl x509 -in "$TLS/by-dn.pem" -noout -subject -nameopt RFC2253)
x5c=$(openssl x509 -in "$TLS/own.pem" -outform DER | base64 -w 0)
x=$(openssl pkey -in "$TLS/own.key" -pubout -outform DER | tail -c 64 | head -c 32 | base64 -w 0 | tr '+/' '-_' | tr -d '=')
y=$(openssl pkey -in "$TLS/own.key" -pubout -outform DER | tail -c 32 | base64 -w 0 | tr '+/' '-_' | tr -d '=')

client() { # client_id, method, members
    printf '[[clients]]\nclient_id = "%s"\ntoken_endpoint_auth_method = "%s"\ngrant_types = ["client_credentials"]\nscope = "read"\n' "$1" "$2"
    printf 'default_scope = "read"\ntls_client_certificate_bound_access_tokens = true\n%s\n' "$3"
}
{
    printf 'listen = "127.0.0.1:0"\ntls_certificate = "%s"\ntls_key = "%s"\nclient_ca = "%s"\n' "$TLS/server.pem" "$TLS/server.key" "$TLS/ca.pem"
    client by-dn tls_client_auth "tls_client_auth_subject_dn = '${subject#subject=}'"
    client by-uri tls_client_auth 'tls_client_auth_san_uri = "spiffe://example.com/reports"'
    client own self_signed_tls_client_auth "jwks = '{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"$x\",\"y\":\"$y\",\"x5c\":[\"$x5c\"]}]}'"
    client secret client_secret_post 'client_secret = "e7Jq-mT2vRk9_wXz"'
} >"$TLS/config.toml"

"$program" --config "$TLS/config.toml" >"$TLS/listening" 2>"$folder/tls-log" &
server=$!
trap 'kill -TERM "$server" 2>/dev/null || true; wait "$server"' EXIT
for _ in {1..100}; do
    [ -s "$TLS/listening" ] && break
    kill -0 "$server" 2>/dev/null || { echo "token_server did not start" >&2; exit 1; }
    sleep 0.1
done
ISSUER=$(sed -n 's/^listening on //p' "$TLS/listening")
export ISSUER
"$folder/venv/bin/python" "$here/tls.py"
node "$folder/tls.mjs"
