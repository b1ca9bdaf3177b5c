// json-server as its own command line sets it up, on a free loopback port that it prints.
// Usage: node start.cjs <db.json>. Ends when its standard input does, so it outlives no test.
const jsonServer = require("json-server");

const app = jsonServer.create();
app.use(jsonServer.defaults({ logger: false }));
app.use(jsonServer.router(process.argv[2]));
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
