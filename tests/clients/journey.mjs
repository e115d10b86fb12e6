// openid-client: discovery by RFC 8414, the grant, introspection, revocation. ISSUER names the server.
import assert from 'node:assert/strict'
import * as client from 'openid-client'

const issuer = process.env.ISSUER

/** Discovers a server; plain http is allowed, as it is on loopback. */
const discover = (url, id, authentication) =>
    client.discovery(new URL(url), id, undefined, authentication, {
        algorithm: 'oauth2',
        execute: [client.allowInsecureRequests],
    })

/** A token that is issued, active, revoked and no longer active. */
async function journey(url, id, authentication, scope) {
    const config = await discover(url, id, authentication)
    assert.equal(config.serverMetadata().issuer, url)
    const token = await client.clientCredentialsGrant(config, { scope })
    assert.equal(token.token_type, 'bearer')
    assert.equal(token.scope, scope)
    assert.ok([3599, 3600].includes(token.expires_in))

    const told = await client.tokenIntrospection(config, token.access_token)
    assert.equal(told.active, true)
    assert.equal(told.client_id, id)
    assert.equal(told.iss, url)
    await client.tokenRevocation(config, token.access_token)
    assert.deepEqual({ ...(await client.tokenIntrospection(config, token.access_token)) }, { active: false })
}

const secret = 'e7Jq-mT2vRk9_wXz'
await journey(issuer, 'journey', client.ClientSecretPost(secret), 'write')
await journey(issuer, 'journey', client.ClientSecretBasic(secret), 'read write')
// The library form-encodes both halves of Basic (RFC 6749 §2.3.1).
await journey(issuer, 'form encoded', client.ClientSecretBasic('p%q+r s:t/ü&='), 'read')
// A realm is found by its issuer alone: the well-known part goes before the path.
await journey(`${issuer}/realms/alpha`, 'myClient', client.ClientSecretPost('mySecret'), 'write')

const refused = async (id, authentication, parameters, status, error) => {
    const config = await discover(issuer, id, authentication)
    await assert.rejects(client.clientCredentialsGrant(config, parameters), (cause) => {
        assert.equal(cause.status, status, cause)
        // A 401 has a challenge, which the library shows instead of the body.
        if (status === 401) assert.equal(cause.cause[0].parameters.realm, issuer)
        else assert.equal(cause.error, error)
        return true
    })
}
await refused('journey', client.ClientSecretBasic('wrong'), { scope: 'read' }, 401)
await refused('nobody', client.ClientSecretPost(secret), { scope: 'read' }, 401)
await refused('journey', client.ClientSecretPost(secret), { scope: 'delete' }, 400, 'invalid_scope')
await refused('journey', client.ClientSecretPost(secret), { resource: 'https://other.example.com' }, 400, 'invalid_target')

console.log('openid-client: discovery of server and realm, tokens by Basic and post, introspection, revocation, refusals')
