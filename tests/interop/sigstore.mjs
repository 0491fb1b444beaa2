// Verify bundles with the libraries of Sigstore: node sigstore.mjs MODULES JOB
//
// JOB is a file with {"bundles": {name: bundle}, "pem": public key}. What is printed is
// {name: "verified" or the code of the error}. An error that is not a verdict ends it.

import { readFileSync } from "node:fs";
import { createPublicKey } from "node:crypto";
import { createRequire } from "node:module";

const [modules, job] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { bundleFromJSON } = require("@sigstore/bundle");
const { Verifier, VerificationError, toSignedEntity, toTrustMaterial } =
  require("@sigstore/verify");

const { bundles, pem } = JSON.parse(readFileSync(job, "utf8"));

// The signer is known by the key alone: no authority, no log, no stamp.
const nobody = {
  certificateAuthorities: [],
  ctlogs: [],
  timestampAuthorities: [],
  tlogs: [],
};
const always = { publicKey: createPublicKey(pem), validFor: () => true };
const trust = toTrustMaterial(nobody, () => always);
const verifier = new Verifier(trust, {
  ctlogThreshold: 0,
  timestampThreshold: 0,
  tlogThreshold: 0,
});

function judge(bundle) {
  try {
    verifier.verify(toSignedEntity(bundleFromJSON(bundle)));
    return "verified";
  } catch (error) {
    if (error instanceof VerificationError) return error.code;
    throw error;
  }
}

const verdicts = Object.entries(bundles).map(([name, one]) => [name, judge(one)]);
console.log(JSON.stringify(Object.fromEntries(verdicts)));
