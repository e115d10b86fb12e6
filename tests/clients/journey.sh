#!/usr/bin/env bash
# curl: a token by form and by Basic, the request of PingAM's page, introspection, revocation. ISSUER names the server.
set -euo pipefail

: "${ISSUER:?the URL of a server that tests/clients/run configured}"
endpoint="$ISSUER/oauth2"
mine=(-u 'journey:e7Jq-mT2vRk9_wXz')

fail() { echo "curl: $*" >&2; exit 1; }

# The value of a member of the JSON on stdin.
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

request() { curl --silent --show-error --fail-with-body "$@"; }

# expect WANTED ARGUMENT...: the status of a request that is refused.
expect() {
    local wanted=$1 status
    status=$(curl --silent --output /dev/null --write-out '%{http_code}' "${@:2}")
    [ "$status" = "$wanted" ] || fail "$status instead of $wanted for: ${*:2}"
}

metadata=$(request "$ISSUER/.well-known/oauth-authorization-server")
[ "$(member issuer <<<"$metadata")" = "$ISSUER" ] || fail "another issuer: $metadata"
[ "$(member token_endpoint <<<"$metadata")" = "$endpoint/access_token" ] || fail "another endpoint: $metadata"

for credentials in form basic; do
    case $credentials in
        form) send=(-d client_id=journey -d client_secret=e7Jq-mT2vRk9_wXz) ;;
        basic) send=("${mine[@]}") ;;
    esac
    answer=$(request "$endpoint/access_token" "${send[@]}" -d grant_type=client_credentials -d scope=write)
    [ "$(member scope <<<"$answer")" = write ] || fail "another scope: $answer"
    [ "$(member token_type <<<"$answer")" = Bearer ] || fail "another token type: $answer"
    token=$(member access_token <<<"$answer")

    told=$(request "$endpoint/introspect" "${send[@]}" -d "token=$token")
    [ "$(member active <<<"$told")" = True ] || fail "not active: $told"
    [ "$(member client_id <<<"$told")" = journey ] || fail "another client: $told"
    [ "$(request "$endpoint/token/revoke" "${send[@]}" -d "token=$token")" = '{}' ] || fail "not revoked"
    told=$(request "$endpoint/introspect" "${send[@]}" -d "token=$token")
    [ "$told" = '{"active":false}' ] || fail "still active: $told"
done

# PingAM's page, but for host and context path.
answer=$(request --request POST \
    --data "grant_type=client_credentials" \
    --data "client_id=myClient" \
    --data "client_secret=mySecret" \
    --data "scope=write" \
    "$endpoint/realms/root/realms/alpha/access_token")
[ "$(member scope <<<"$answer")" = write ] || fail "another scope in /alpha: $answer"
case $(member expires_in <<<"$answer") in 3599 | 3600) ;; *) fail "another lifetime: $answer" ;; esac

expect 401 "$endpoint/access_token" -u journey:wrong -d grant_type=client_credentials
expect 401 "$endpoint/access_token" -u myClient:mySecret -d grant_type=client_credentials -d scope=write
expect 400 "$endpoint/access_token?realm=/alpha" "${mine[@]}" -d grant_type=client_credentials
expect 400 "$endpoint/access_token" "${mine[@]}" -d grant_type=client_credentials -d scope=delete
expect 400 "$endpoint/access_token" "${mine[@]}" -F grant_type=client_credentials
expect 405 "$endpoint/access_token" "${mine[@]}"
expect 413 "$endpoint/access_token" "${mine[@]}" -d "grant_type=client_credentials&x=$(printf '%070000d' 0)"

echo "curl: tokens by form and Basic, introspection, revocation, PingAM's request, refusals"
