// As much of request 2.11 as open311 uses, over Node's own http.
const http = require("http");

function send(method, options, callback) {
  const address = new URL(options.url);
  for (const [name, value] of Object.entries(options.qs || {})) {
    address.searchParams.append(name, value);
  }
  const body = options.form ? new URLSearchParams(options.form).toString() : "";
  const headers = options.form ? { "Content-Type": "application/x-www-form-urlencoded" } : {};
  const call = http.request(address, { method, headers, agent: false }, (answer) => {
    const parts = [];
    answer.on("data", (part) => parts.push(part));
    answer.on("end", () => callback(null, answer, Buffer.concat(parts).toString("utf-8")));
  });
  call.on("error", callback);
  call.end(body);
}

exports.get = (options, callback) => send("GET", options, callback);
exports.post = (options, callback) => send("POST", options, callback);
