// openid-client and oauth4webapi: assertions of each kind, JWT access tokens by the strict rules of RFC 9068. ISSUER names the
// server, KEYS the file of the vectors' keys.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'

const issuer = process.env.ISSUER
const keys = JSON.parse(readFileSync(process.env.KEYS)).keys
const insecure = { [oauth.allowInsecureRequests]: true }

const discover = (id, authentication) =>
    client.discovery(new URL(issuer), id, undefined, authentication, {
        algorithm: 'oauth2',
        execute: [client.allowInsecureRequests],
    })

const imported = (name, algorithm) => {
    const { alg, kid, key_ops, use, ...jwk } = keys[name]
    return crypto.subtle.importKey('jwk', jwk, algorithm, false, ['sign'])
}

const as = await oauth
    .discoveryRequest(new URL(issuer), { algorithm: 'oauth2', ...insecure })
    .then((response) => oauth.processDiscoveryResponse(new URL(issuer), response))
assert.ok(as.jwks_uri)
assert.ok(as.token_endpoint_auth_signing_alg_values_supported.includes('ES256'))

/** What a resource server does with a token, by another implementation of RFC 9068 than the server's. */
const validate = (token, audience, scheme = 'Bearer') => {
    const request = new Request(audience, { headers: { authorization: `${scheme} ${token}` } })
    return oauth.validateJwtAccessToken(as, request, audience, insecure)
}

/** A token by an assertion, validated, introspected, revoked; each request with an assertion of its own. */
async function journey(id, authentication) {
    const config = await discover(id, authentication)
    const resource = 'https://api.example.com'
    const token = await client.clientCredentialsGrant(config, { scope: 'read', resource })
    const claims = await validate(token.access_token, resource)
    assert.deepEqual([claims.iss, claims.sub, claims.client_id, claims.scope], [issuer, id, id, 'read'])
    await assert.rejects(validate(token.access_token, 'https://other.example.com'))
    assert.equal((await client.tokenIntrospection(config, token.access_token)).active, true)
    await client.tokenRevocation(config, token.access_token)
    assert.equal((await client.tokenIntrospection(config, token.access_token)).active, false)
    return token
}

const ec = { name: 'ECDSA', namedCurve: 'P-256' }
const p384 = { name: 'ECDSA', namedCurve: 'P-384' }
const rs = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
const ps = { name: 'RSA-PSS', hash: 'SHA-256' }
for (const [name, algorithm] of [['ec-a', ec], ['ec384-a', p384], ['rsa-a', rs], ['rsa-a', ps], ['ed-a', { name: 'Ed25519' }]]) {
    await journey(`signer-${name}`, client.PrivateKeyJwt({ key: await imported(name, algorithm), kid: name }))
    // A client library that sends no kid.
    await journey(`signer-${name}`, client.PrivateKeyJwt(await imported(name, algorithm)))
}
await journey('mac', client.ClientSecretJwt('a-shared-secret-of-more-than-32-octets'))

// Another's key, another's secret: no token.
const refused = async (id, authentication) => {
    const config = await discover(id, authentication)
    await assert.rejects(client.clientCredentialsGrant(config, { scope: 'read' }), { status: 401 })
}
await refused('signer-ec-a', client.PrivateKeyJwt(await imported('ec-b', ec)))
await refused('mac', client.ClientSecretJwt('another-secret-of-more-than-32-octets!'))
await refused('signer-ec-a', client.ClientSecretPost('a-shared-secret-of-more-than-32-octets'))

// A token that is bound to a DPoP key, by a server that asks for nonces and by one that does not; presented as a resource
// server would see it.
for (const [url, id] of [[issuer, 'mac'], [`${issuer}/realms/nonces`, 'mac']]) {
    const config = await client.discovery(new URL(url), id, undefined, client.ClientSecretJwt('a-shared-secret-of-more-than-32-octets'), {
        algorithm: 'oauth2',
        execute: [client.allowInsecureRequests],
    })
    const keyPair = await client.randomDPoPKeyPair('ES256')
    const DPoP = client.getDPoPHandle(config, keyPair)
    const resource = 'https://api.example.com'
    const token = await client.clientCredentialsGrant(config, { scope: 'read', resource }, { DPoP })
    assert.equal(token.token_type, 'dpop')
    const told = await client.tokenIntrospection(config, token.access_token)
    assert.deepEqual([told.active, told.token_type, Object.keys(told.cnf)], [true, 'DPoP', ['jkt']])
    if (url === issuer) {
        const handle = oauth.DPoP({ client_id: id }, keyPair)
        let sent
        await oauth.protectedResourceRequest(token.access_token, 'GET', new URL(resource), undefined, undefined, {
            DPoP: handle,
            [oauth.customFetch]: async (url, options) => {
                sent = new Request(url, { method: options.method, headers: options.headers })
                return new Response()
            },
        })
        const claims = await oauth.validateJwtAccessToken(as, sent, resource, { ...insecure, requireDPoP: true })
        assert.equal(claims.cnf.jkt, told.cnf.jkt)
        const stolen = new Request(resource, { headers: { authorization: `Bearer ${token.access_token}` } })
        await assert.rejects(oauth.validateJwtAccessToken(as, stolen, resource, insecure))
    }
}

// A signed introspection answer, validated by the library.
const secret = 'R3source-Server-1'
const mac = await discover('mac', client.ClientSecretJwt('a-shared-secret-of-more-than-32-octets'))
const { access_token } = await client.clientCredentialsGrant(mac, { scope: 'read', resource: 'https://api.example.com' })
const api = { client_id: 'api', introspection_signed_response_alg: 'ES256' }
const response = await oauth.introspectionRequest(as, api, oauth.ClientSecretBasic(secret), access_token, {
    ...insecure,
    requestJwtResponse: true,
})
assert.equal(response.headers.get('content-type'), 'application/token-introspection+jwt')
const told = await oauth.processIntrospectionResponse(as, api, response)
assert.deepEqual([told.active, told.client_id], [true, 'mac'])
await oauth.validateApplicationLevelSignature(as, response, insecure)

console.log('oauth4webapi: private_key_jwt with ES256, ES384, RS256, PS256, Ed25519, client_secret_jwt, DPoP with and without nonces, RFC 9068, RFC 9701')
