// An OpenID provider with a device flow, for tests: `node oidc.mjs FOLDER`, where FOLDER has node_modules.
// What a person does at its pages is done by requests to /control. It exits at the end of its standard input.
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const { default: Provider } = await import(pathToFileURL(`${process.argv[2]}/node_modules/oidc-provider/lib/index.js`));

const CLIENT = "tests";
const SCOPE = "openid offline_access";
const kept = new Map();

// Expiry is left to the provider, so that it tells an expired code from one that never was.
class Store {
  constructor(name) {
    this.name = name;
  }
  async upsert(id, payload) {
    kept.set(`${this.name}:${id}`, payload);
  }
  async find(id) {
    return kept.get(`${this.name}:${id}`);
  }
  async findByUserCode(userCode) {
    return [...kept].find(([key, it]) => key.startsWith(`${this.name}:`) && it.userCode === userCode)?.[1];
  }
  async findByUid() {}
  async consume(id) {
    kept.get(`${this.name}:${id}`).consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    kept.delete(`${this.name}:${id}`);
  }
  async revokeByGrantId(grantId) {
    for (const [key, it] of kept) if (it.grantId === grantId) kept.delete(key);
  }
}

const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const url = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(url, {
  adapter: Store,
  clients: [
    {
      client_id: CLIENT,
      token_endpoint_auth_method: "none",
      grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
      redirect_uris: [],
      response_types: [],
    },
  ],
  features: { deviceFlow: { enabled: true }, devInteractions: { enabled: false } },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  rotateRefreshToken: true,
  ttl: { AccessToken: 900, DeviceCode: 600, Grant: 86400, IdToken: 900, RefreshToken: 86400 },
});

let drops = 0;
let asked = 0;

const control = {
  async approve({ user_code }) {
    const code = await waiting(user_code);
    const grant = new provider.Grant({ accountId: "tester", clientId: CLIENT });
    grant.addOIDCScope(SCOPE);
    const now = Math.floor(Date.now() / 1000);
    Object.assign(code, { accountId: "tester", authTime: now, claims: {}, scope: SCOPE, grantId: await grant.save() });
    await code.save();
  },
  async deny({ user_code }) {
    const code = await waiting(user_code);
    Object.assign(code, { error: "access_denied", errorDescription: "End-User aborted interaction" });
    await code.save();
  },
  async expire({ user_code }) {
    const id = user_code.replaceAll("-", "");
    for (const it of kept.values()) if (it.userCode === id) it.exp = Math.floor(Date.now() / 1000) - 1;
  },
  async revoke() {
    for (const key of kept.keys()) if (key.startsWith("RefreshToken:")) kept.delete(key);
  },
  async drop({ times }) {
    drops = Number(times);
  },
  async accepts({ token }) {
    return { accepts: Boolean(await provider.AccessToken.find(token)) };
  },
  async asked() {
    return { asked };
  },
};

async function waiting(userCode) {
  return provider.DeviceCode.findByUserCode(userCode.replaceAll("-", ""));
}

provider.use(async (ctx, next) => {
  if (ctx.path === "/health") {
    ctx.body = "ok";
  } else if (ctx.path.startsWith("/control/")) {
    ctx.body = (await control[ctx.path.slice("/control/".length)](ctx.query)) ?? { ok: true };
  } else if (ctx.path === "/token" && drops > 0) {
    drops -= 1;
    ctx.respond = false;
    ctx.req.socket.destroy();
  } else {
    asked += ctx.path === "/token" ? 1 : 0;
    await next();
  }
});
server.on("request", provider.callback());
process.stdin.resume().on("end", () => process.exit(0));
console.log(`listening on ${url}`);
