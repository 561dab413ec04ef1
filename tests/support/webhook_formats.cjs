// Verifies the requests in a directory with the npm libraries `standardwebhooks` and `cloudevents`, and Node's own Ed25519.
// Prints how many of each format were verified, as JSON.

const assert = require("node:assert");
const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const { createRequire } = require("node:module");

const [, , dir, modules] = process.argv;
const load = createRequire(path.join(modules, "/"));
const { Webhook } = load("standardwebhooks");
const { HTTP } = load("cloudevents");

function checkSignatures({ headers, secrets, public: key }, body) {
    for (const secret of secrets) {
        new Webhook(secret).verify(body, headers, { jsonParse: false });
        assert.throws(() => new Webhook(secret).verify(body + " ", headers));
    }
    const x = Buffer.from(key.slice("whpk_".length), "base64").toString("base64url");
    const publicKey = crypto.createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    const signature = headers["webhook-signature"].split(" ").find((one) => one.startsWith("v1a,")).slice("v1a,".length);
    const text = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    assert.ok(crypto.verify(null, Buffer.from(text), publicKey, Buffer.from(signature, "base64")));
}

function checkCloudEvents({ headers, lines }, body) {
    const found = HTTP.toEvent({ headers, body });
    const events = Array.isArray(found) ? found : [found];
    assert.strictEqual(events.length, lines.length);
    events.forEach((event, n) => {
        const record = JSON.parse(lines[n]);
        assert.ok(event.validate());
        assert.deepStrictEqual([event.id, event.type], [record.id, record.event_type]);
        assert.strictEqual(event.sequence, String(record.seq).padStart(20, "0"));
        assert.deepStrictEqual(event.data, record);
    });
}

const verified = {};
for (const name of fs.readdirSync(dir).filter((name) => name.endsWith(".json"))) {
    const one = JSON.parse(fs.readFileSync(path.join(dir, name), "utf8"));
    const body = fs.readFileSync(path.join(dir, name.replace(/json$/, "body")), "utf8");
    try {
        checkSignatures(one, body);
        if (one.format.startsWith("cloudevents")) {
            checkCloudEvents(one, body);
        }
    } catch (error) {
        error.message = `${name}: ${error.message}`;
        throw error;
    }
    verified[one.format] = (verified[one.format] ?? 0) + 1;
}
console.log(JSON.stringify(verified));
