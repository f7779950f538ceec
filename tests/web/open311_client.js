// Reads and sends as the README of open311 shows it, and prints what it got as JSON.
const { promisify } = require("util");
const Open311 = require("../vendor/open311/open311.js");

const [discovery, jurisdiction, apiKey] = process.argv.slice(2);
const client = new Open311({ discovery, jurisdiction, apiKey });
const call = (name, ...values) => promisify(client[name].bind(client))(...values);

async function main() {
  await call("serviceDiscovery", { cache: true });
  const services = await call("serviceList");
  const definition = await call("serviceDefinition", "pothole");
  const sent = await call("submitRequest", {
    service_code: "pothole",
    lat: 45.5152,
    long: -122.6784,
    description: "sent from Node – ñ",
    attributes: { size: "wheel" },
  });
  const number = sent[0].service_request_id;
  const one = await call("serviceRequests", number);
  const several = await call("serviceRequests", [number], {});
  const open = await call("serviceRequests", { service_code: "pothole", status: "open" });
  console.log(JSON.stringify({ services, definition, number, one, several, open }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
