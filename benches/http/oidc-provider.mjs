// oidc-provider with one client of the client credentials grant: opaque tokens, client_secret_basic, tokens in a Map.
import { Provider } from 'oidc-provider';

class Tokens {
  #kept = new Map();
  async upsert(id, payload) { this.#kept.set(id, payload); }
  async find(id) { return this.#kept.get(id); }
  async destroy(id) { this.#kept.delete(id); }
}

const provider = new Provider('http://127.0.0.1', {
  adapter: Tokens,
  clients: [{
    client_id: process.env.CLIENT_ID,
    client_secret: process.env.CLIENT_SECRET,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    scope: 'write',
    token_endpoint_auth_method: 'client_secret_basic',
  }],
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  scopes: ['write'],
  ttl: { ClientCredentials: 3600 },
});

const server = provider.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
