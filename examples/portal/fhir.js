// FHIR resources in, words for people out.

import { Problem, reach } from "./smart.js";

const PAGES = 20; // of a search; a page that says less than all says so

/** Somebody or something ended the session. */
export class Ended extends Problem {}

/** One resource or Bundle. Numbers are the text they were written as: 4.00 stays 4.00. */
export async function read(session, url) {
  const answer = await reach(url, {
    headers: { Authorization: `Bearer ${session.token}`, Accept: "application/fhir+json" },
  });
  if (answer.status === 401) throw new Ended("Your session has ended. Please sign in again.");
  if (answer.status === 403) throw new Problem("You did not share this with this page.");
  if (!answer.ok) throw new Problem("The hospital's server could not answer. Please try again in a moment.");
  return JSON.parse(await answer.text(), (_, value, context) =>
    typeof value === "number" ? (context?.source ?? String(value)) : value,
  );
}

/** All matches of a search, and whether there are more than this page shows. */
export async function search(settings, session, query) {
  const found = [];
  let url = `${settings.fhir}/${query}`;
  for (let page = 0; url && page < PAGES; page += 1) {
    const bundle = await read(session, url);
    for (const entry of bundle.entry ?? []) if (entry.search?.mode !== "outcome") found.push(entry.resource);
    url = bundle.link?.find((link) => link.relation === "next")?.url ?? "";
    if (url && !url.startsWith(`${settings.fhir}/`)) throw new Problem("The hospital's server gave a wrong address.");
  }
  return { found, more: Boolean(url) };
}

/** `Ana Maria Rivera`. */
export function nameOf(patient) {
  const names = patient.name ?? [];
  const name = names.find((one) => one.use === "official") ?? names[0];
  return name?.text ?? [...(name?.given ?? []), name?.family].filter(Boolean).join(" ") ?? "";
}

/** The words of a CodeableConcept. */
export function words(concept) {
  return concept?.text ?? concept?.coding?.find((one) => one.display)?.display ?? concept?.coding?.[0]?.code ?? "";
}

/** The value of an Observation in words. */
export function valueOf(result) {
  if (result.valueQuantity) return quantity(result.valueQuantity);
  if (result.valueCodeableConcept) return words(result.valueCodeableConcept);
  if (result.valueString !== undefined) return result.valueString;
  if (result.valueInteger !== undefined) return result.valueInteger;
  if (result.valueBoolean !== undefined) return result.valueBoolean ? "yes" : "no";
  if (result.valueRange) return range(result.valueRange);
  if (result.valueRatio) return `${quantity(result.valueRatio.numerator)} : ${quantity(result.valueRatio.denominator)}`;
  if (result.valueDateTime) return when(result.valueDateTime);
  if (result.component) return result.component.map((one) => `${words(one.code)} ${valueOf(one)}`).join(", ");
  if (result.dataAbsentReason) return `no value: ${words(result.dataAbsentReason)}`;
  return "ask your care team"; // a kind of value that this page has no words for
}

/** What is usual for this test: `0.40 to 4.00 mIU/L`; "" where the laboratory did not say. */
export function usual(result) {
  return (result.referenceRange ?? []).map((one) => (one.low || one.high ? range(one) : (one.text ?? ""))).join("; ");
}

/** `{text: "high", unusual: true}` by the laboratory's own judgement; null where it gave none. */
export function judgement(result) {
  const coding = result.interpretation?.[0]?.coding?.find((one) => JUDGEMENTS[one.code]);
  if (coding) return JUDGEMENTS[coding.code];
  const text = words(result.interpretation?.[0]);
  return text ? { text, unusual: false } : null;
}

const JUDGEMENTS = {
  N: { text: "usual", unusual: false },
  NEG: { text: "negative", unusual: false },
  H: { text: "high", unusual: true },
  HH: { text: "very high", unusual: true },
  HU: { text: "very high", unusual: true },
  L: { text: "low", unusual: true },
  LL: { text: "very low", unusual: true },
  LU: { text: "very low", unusual: true },
  A: { text: "unusual", unusual: true },
  AA: { text: "very unusual", unusual: true },
  POS: { text: "positive", unusual: true },
};

/** Whether a result may still change or has changed; "" for a plain final one. */
export function stage(result) {
  return STAGES[result.status] ?? (result.status === "final" ? "" : result.status);
}

const STAGES = {
  amended: "corrected",
  corrected: "corrected",
  cancelled: "cancelled",
  preliminary: "not final yet",
  registered: "not done yet",
};

/** A FHIR date, dateTime or instant as it was at the hospital, as precise as it was said. */
export function when(text) {
  const found = /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}:\d{2}))?)?)?/.exec(text ?? "");
  if (!found) return "";
  const [, year, month, day, time] = found;
  if (!month) return year;
  const date = new Date(Date.UTC(year, month - 1, day ?? 1));
  const parts = day ? { weekday: "short", day: "numeric" } : {};
  const said = date.toLocaleDateString("en", { ...parts, month: "long", year: "numeric", timeZone: "UTC" });
  return time ? `${said}, ${time}` : said;
}

function range({ low, high }) {
  const unit = unitOf(high ?? low);
  const text = low && high ? `${low.value} to ${high.value}` : low ? `${low.value} or more` : `up to ${high.value}`;
  return unit ? `${text} ${unit}` : text;
}

function quantity(one) {
  return [`${one.comparator ?? ""}${one.value ?? ""}`, unitOf(one)].filter(Boolean).join(" ");
}

/** UCUM as people print it: `m[IU]/L` is mIU/L, `10*3/uL` is 10³/µL. */
function unitOf(one) {
  const unit = one?.unit ?? one?.code ?? "";
  if (unit !== one?.code) return unit;
  return unit
    .replaceAll(/10\*(\d)/g, (_, power) => `10${"⁰¹²³⁴⁵⁶⁷⁸⁹"[power]}`)
    .replaceAll(/[[\]]/g, "")
    .replaceAll(/\{[^}]*\}/g, "")
    .replaceAll(/\bu(?=[a-zA-Z]\b)/g, "µ");
}
