// Loaded into yaml-language-server: whatever it would fetch fails, and the host is written down.
const fs = require("node:fs");
const net = require("node:net");

net.Socket.prototype.connect = function (...given) {
  const wanted = Array.isArray(given[0]) ? given[0][0] : given[0];
  fs.appendFileSync(process.env.GLMDEPLOY_TEST_CONNECTIONS, `${wanted.host ?? wanted.path ?? wanted}\n`);
  process.nextTick(() => this.destroy(new Error("offline")));
  return this;
};
