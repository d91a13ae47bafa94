// Hands each of the documents on standard input (a JSON list) to the official parser, and prints what it says of each:
// how many operations it understood, and what it finds wrong as [severity, place, text].
const { Parser } = require(process.argv[2] + "/node_modules/@asyncapi/parser");
const documents = JSON.parse(require("fs").readFileSync(0, "utf-8"));
const said = ({ document, diagnostics }) => ({
  operations: document ? document.operations().length : 0,
  found: diagnostics.map((each) => [each.severity, each.path.join("."), each.message]),
});
Promise.all(documents.map((each) => new Parser().parse(JSON.stringify(each)).then(said))).then((all) => {
  process.stdout.write(JSON.stringify(all));
});
