// The page: one session in memory, shown as long as it lasts.

import * as fhir from "./fhir.js";
import * as smart from "./smart.js";

const part = (id) => document.getElementById(id);
const TITLE = document.title;
const NEWEST = 3; // times of taking samples that are shown at once; the others unfold
const NOT_SHARED =
  "You did not share this with this page. To see it here, log out, sign in again and leave it ticked.";

let settings;
let session = null;
let alarm = 0;

/** An element with text or children; text is never read as HTML. */
function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

async function start() {
  settings = await (await smart.reach("settings.json")).json();
  status("Signing you in …");
  session = await smart.finish(settings);
  if (session) await open();
  else welcome();
}

function welcome() {
  status("");
  document.title = TITLE;
  part("welcome").hidden = false;
}

async function open() {
  const over = "Time is up, so this page has logged you out. Please sign in again.";
  alarm = setTimeout(() => close(over), session.ends - Date.now());
  status("Reading your record …");
  const [patient, results, appointments] = await Promise.all([
    section("Patient", () => fhir.read(session, `${settings.fhir}/Patient/${session.patient}`)),
    section("Observation", () => searched("Observation", "category=laboratory&_sort=-date&_count=100")),
    section("Appointment", () => searched("Appointment", "_sort=-date&_count=100")),
  ]);
  if (!session) return; // ended meanwhile
  showPatient(patient);
  fill("results-body", results, resultTables);
  fill("appointments-body", appointments, visits);
  for (const id of ["record", "sections", "sign-out"]) part(id).hidden = false;
  status("");
  part("name").focus();
}

function fill(id, loaded, show) {
  part(id).replaceChildren(...(loaded.problem ? [told(loaded.problem)] : show(loaded)));
}

/** What `load` gives, or `{problem}`: one part that fails does not take the others with it. */
async function section(type, load) {
  if (!smart.allowed(session, type)) return { problem: NOT_SHARED };
  try {
    return await load();
  } catch (error) {
    if (error instanceof fhir.Ended || !(error instanceof smart.Problem)) throw error;
    return { problem: error.message };
  }
}

function searched(type, rest) {
  return fhir.search(settings, session, `${type}?patient=${session.patient}&${rest}`);
}

function showPatient(patient) {
  const name = patient.problem ? "" : fhir.nameOf(patient);
  part("name").textContent = name || "Your health record";
  document.title = name ? `${name} · ${TITLE}` : TITLE;
  const born = patient.birthDate ? `Born ${fhir.when(patient.birthDate).replace(/^\w+, /, "")}` : "";
  const number = patient.identifier?.find((one) => one.type?.coding?.some((coding) => coding.code === "MR"))?.value;
  part("facts").textContent = patient.problem
    ? "You did not share your name with this page."
    : [born, number && `Record number ${number}`].filter(Boolean).join(" · ");
}

/** A table for each time that samples were taken, newest first. */
function resultTables({ found, more }) {
  const valid = found.filter((one) => one.status !== "entered-in-error");
  if (!valid.length) return [told("There are no results yet.")];
  const tables = [...byTime(valid)].map(([time, results]) => resultTable(time, results));
  const shown = tables.slice(0, NEWEST);
  const older = tables.slice(NEWEST);
  if (older.length) shown.push(make("details", {}, make("summary", {}, `Earlier results (${older.length})`), ...older));
  if (more) shown.push(told("There are more results than this page shows. Ask your care team for older ones."));
  return shown;
}

function byTime(results) {
  const groups = new Map();
  for (const one of results) {
    const time = one.effectiveDateTime ?? one.effectivePeriod?.start ?? "";
    groups.set(time, [...(groups.get(time) ?? []), one]);
  }
  return groups;
}

function resultTable(time, results) {
  const columns = ["Test", "Result", "Usual for this test", "Judged by the laboratory"];
  const head = make("tr", {}, ...columns.map((text) => make("th", { scope: "col" }, text)));
  const caption = make("caption", {}, fhir.when(time) || "Without a date");
  return make("table", {}, caption, make("thead", {}, head), make("tbody", {}, ...results.map(resultRow)));
}

function resultRow(result) {
  const stage = fhir.stage(result);
  const judged = fhir.judgement(result);
  const test = make("th", { scope: "row" }, fhir.words(result.code));
  if (stage) test.append(" ", make("span", { class: "tag" }, stage));
  const mark = judged ? make("span", { class: judged.unusual ? "mark unusual" : "mark" }, judged.text) : "";
  return make(
    "tr",
    {},
    test,
    make("td", { class: "value" }, fhir.valueOf(result)),
    make("td", { class: "usual" }, fhir.usual(result) || "not said"),
    make("td", {}, mark || "not said"),
  );
}

const VISITS = {
  proposed: "proposed",
  pending: "waiting for an answer",
  waitlist: "on the waiting list",
  booked: "booked",
  arrived: "you have arrived",
  "checked-in": "you have checked in",
  fulfilled: "took place",
  cancelled: "cancelled",
  noshow: "missed",
};

/** Those to come first, then those that were. */
function visits({ found, more }) {
  const valid = found.filter((one) => one.status !== "entered-in-error");
  if (!valid.length) return [told("There are no appointments.")];
  const isNext = (one) => Date.parse(one.end ?? one.start ?? "") >= Date.now();
  const next = valid.filter(isNext).reverse();
  const past = valid.filter((one) => !isNext(one));
  const made = [make("h3", {}, "Coming up"), next.length ? list(next) : told("Nothing is planned.")];
  if (past.length) made.push(make("h3", {}, "Earlier"), list(past));
  if (more) made.push(told("There are more appointments than this page shows."));
  return [...made, make("p", { class: "note" }, "Times are local to the hospital.")];
}

function list(appointments) {
  return make("ul", { class: "visits" }, ...appointments.map(visit));
}

function visit(one) {
  const what = fhir.words(one.serviceType?.[0]) || fhir.words(one.reasonCode?.[0]) || one.description || "Appointment";
  const people = (one.participant ?? []).filter((who) => /^Practitioner/.test(who.actor?.reference ?? ""));
  const names = [...new Set(people.map((who) => who.actor.display).filter(Boolean))];
  const facts = [names.length && `with ${names.join(", ")}`, one.minutesDuration && `${one.minutesDuration} minutes`];
  return make(
    "li",
    { class: one.status },
    make("p", { class: "time" }, fhir.when(one.start) || "Time not set"),
    make("p", { class: "what" }, what, " ", make("span", { class: "tag" }, VISITS[one.status] ?? one.status)),
    make("p", { class: "facts" }, facts.filter(Boolean).join(" · ")),
  );
}

/** Forget everything that was read; `text` says why, to the person. */
function close(text, kind = "problem") {
  clearTimeout(alarm);
  session = null;
  for (const id of ["record", "sections", "sign-out"]) part(id).hidden = true;
  for (const id of ["name", "facts", "results-body", "appointments-body"]) part(id).replaceChildren();
  welcome();
  part("problem").replaceChildren(make("p", { class: kind }, text));
  part("main").focus();
}

async function signOut() {
  part("sign-out").disabled = true;
  const ended = await smart.revoke(settings, session);
  const at = new Date(session.ends).toLocaleTimeString("en", { timeStyle: "short" });
  part("sign-out").disabled = false;
  if (ended) close("You are logged out.", "done");
  else close(`You are logged out here, but the hospital's server could not be told. The access ends by itself at ${at}.`);
}

function told(text) {
  return make("p", { class: "told" }, text);
}

function status(text) {
  part("status").textContent = text;
}

/** Run a step; what goes wrong is said, and nothing of a record stays on the page. */
async function attempt(step) {
  part("problem").replaceChildren();
  try {
    await step();
  } catch (error) {
    close(error instanceof smart.Problem ? error.message : "This page did not work as it should. Please try again.");
    if (!(error instanceof smart.Problem)) throw error;
  }
}

part("sign-in").addEventListener("click", () => attempt(() => smart.begin(settings)));
part("sign-out").addEventListener("click", () => attempt(signOut));
addEventListener("pageshow", (event) => event.persisted && location.reload()); // never a record by the Back button
attempt(start);
