// Verifies the requests in the directories that are named, and prints true or false for each.
import { readFileSync } from "node:fs";
import { verify } from "./verify.mjs";

for (const directory of process.argv.slice(2)) {
  const text = (name) => readFileSync(`${directory}/${name}`, "utf8");
  console.log(verify(text("secret"), text("id"), text("timestamp"), text("signature"), readFileSync(`${directory}/body`)));
}
