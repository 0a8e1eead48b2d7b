// Loaded into yaml-language-server: whatever it would fetch fails, and the host is written down.
const fs = require("node:fs");
const net = require("node:net");

net.Socket.prototype.connect = function (...given) {
  const wanted = JSON.stringify(given[0]);
  fs.appendFileSync(process.env.GLMDEPLOY_TEST_CONNECTIONS, wanted + "\n");
  process.nextTick(() => this.destroy(new Error("offline")));
  return this;
};
