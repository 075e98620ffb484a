// Makes a call that fails over plain HTTP/2 and prints the header fields of its end as JSON, as they came.
//
//   node failed_call.mjs ADDRESS PATH
//
// PATH is that of the method; the request is an empty message. A call that fails before it answers has no trailers:
// its first header fields are its last.
import http2 from "node:http2";

const [address, path] = process.argv.slice(2);
if (path === undefined) {
  console.error("usage: failed_call.mjs ADDRESS PATH");
  process.exit(2);
}

const session = http2.connect(`http://${address}`);
const call = session.request({
  ":method": "POST",
  ":path": path,
  "content-type": "application/grpc",
  te: "trailers",
});
let fields = [];
const keep = (_headers, _flags, raw) => {
  fields = raw;
};
call.on("response", keep);
call.on("trailers", keep);
call.on("close", () => {
  console.log(JSON.stringify(fields));
  session.close();
});
call.resume();
// Not compressed, and no bytes.
call.end(Buffer.alloc(5));
