// Node's https, and openid-client over undici: certificates in handshakes of TLS 1.2 and 1.3. ISSUER names the server, TLS the files.
import assert from 'node:assert/strict'
import { X509Certificate, createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import https from 'node:https'
import * as client from 'openid-client'
import { Agent, fetch } from 'undici'

const { ISSUER: issuer, TLS: folder } = process.env
const file = (name) => readFileSync(`${folder}/${name}`)
const identity = (name) => (name ? { cert: file(`${name}.pem`), key: file(`${name}.key`) } : {})
const ca = file('ca.pem')
const thumbprint = (name) => createHash('sha256').update(new X509Certificate(file(`${name}.pem`)).raw).digest('base64url')

/** The answer of Node's own client. */
const post = (name, form, versions = {}) =>
    new Promise((resolve, reject) => {
        const headers = { 'content-type': 'application/x-www-form-urlencoded' }
        const options = { method: 'POST', headers, ca, agent: false, ...identity(name), ...versions }
        const request = https.request(`${issuer}/oauth2/access_token`, options, (response) => {
            let body = ''
            response.on('data', (more) => (body += more))
            response.on('end', () => resolve({ status: response.statusCode, json: JSON.parse(body) }))
        })
        request.on('error', reject)
        request.end(new URLSearchParams({ grant_type: 'client_credentials', ...form }).toString())
    })

for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const versions = { minVersion: version, maxVersion: version }
    for (const id of ['by-dn', 'by-uri', 'own']) {
        assert.equal((await post(id, { client_id: id }, versions)).status, 200, `${version} ${id}`)
    }
    for (const [name, id] of [[undefined, 'own'], ['by-uri', 'own'], ['forged', 'by-uri']]) {
        const refused = await post(name, { client_id: id }, versions)
        assert.deepEqual([refused.status, refused.json.error], [401, 'invalid_client'], `${version} ${name} ${id}`)
    }
}

for (const id of ['by-dn', 'by-uri', 'own']) {
    const dispatcher = new Agent({ connect: { ca, ...identity(id) } })
    const config = await client.discovery(new URL(issuer), id, { use_mtls_endpoint_aliases: true }, client.TlsClientAuth(), {
        algorithm: 'oauth2',
        [client.customFetch]: (url, options) => fetch(url, { ...options, dispatcher }),
    })
    const token = await client.clientCredentialsGrant(config, { scope: 'read' })
    const told = await client.tokenIntrospection(config, token.access_token)
    assert.deepEqual([told.active, told.client_id, told.cnf], [true, id, { 'x5t#S256': thumbprint(id) }])
    await client.tokenRevocation(config, token.access_token)
    assert.equal((await client.tokenIntrospection(config, token.access_token)).active, false)
    await dispatcher.close()
}

console.log('Node: TLS 1.2 and 1.3, openid-client by tls_client_auth and self_signed_tls_client_auth, bound tokens')
