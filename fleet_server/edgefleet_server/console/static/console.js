// The console: asks the server every two seconds, and draws what it says.

import { ago, cell, chip, element, notice, table } from "./dom.js";
import { histogram } from "./histogram.js";
import { rollouts } from "./rollouts.js";

const EVERY = 2000; // milliseconds
const place = (id) => document.getElementById(id);
let picked = null;
let drawn = "";

async function ask(path, method = "GET") {
  const answer = await fetch(path, { method, headers: { Accept: "application/json" }, cache: "no-store" });
  if (answer.status === 401) window.location.assign("/sign-in");
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function refresh() {
  try {
    const fleet = await ask("/console/snapshot");
    show(fleet);
    await showDrift(fleet);
  } catch (error) {
    connection("down", "server not reachable");
    console.warn(error);
  }
}

function show(fleet) {
  connection(fleet.broker_connected ? "up" : "down", fleet.broker_connected ? "broker connected" : "broker not reachable");
  place("totals").replaceChildren(...totals(fleet));
  place("alerts").hidden = fleet.alerts.length === 0;
  place("alerts").replaceChildren(...fleet.alerts.map((alert) => alertCard(alert, fleet)));
  place("rollouts").replaceChildren(...rollouts(fleet.rollouts, fleet.releases, fleet.now));
  place("devices").replaceChildren(devices(fleet));
  const scrolled = place("recent").firstElementChild?.scrollTop ?? 0;
  place("recent").replaceChildren(recent(fleet));
  place("recent").firstElementChild.scrollTop = scrolled;
  place("recent").parentElement.hidden = fleet.recent.length === 0;
}

function connection(className, text) {
  place("link").className = `link ${className}`;
  place("link").textContent = text;
}

function totals(fleet) {
  const states = fleet.devices_by_state;
  const devices = Object.values(states).reduce((sum, count) => sum + count, 0);
  const served = Object.values(fleet.served).reduce((sum, device) => sum + device.inferences, 0);
  return [
    total(devices, devices === 1 ? "device" : "devices"), total(states.confirmed ?? 0, "confirmed"),
    total(served.toLocaleString("en"), "inferences"),
    total(fleet.alerts.length, fleet.alerts.length === 1 ? "alert" : "alerts", fleet.alerts.length ? "bad" : null),
  ];
}

function total(number, name, className = null) {
  return element("span", { class: className }, element("b", {}, String(number)), ` ${name}`);
}

function alertCard(alert, { now, me }) {
  const acknowledge = async () => {
    await ask(`/api/v1/alerts/${alert.id}/ack`, "POST");
    await refresh();
  };
  return element("div", { class: "card alert" }, chip(alert.kind, "bad"), element("p", {}, alert.text),
    element("small", {}, `${ago(alert.opened_at, now)}${alert.count > 1 ? `, seen ${alert.count} times` : ""}`),
    me.role === "viewer" ? null : element("button", { class: "plain", type: "button", onclick: acknowledge }, "Acknowledge"));
}

function devices(fleet) {
  if (fleet.devices.length === 0) return notice("No device yet. Make a claim token, and enroll one:", "edgefleet device token");
  const verdicts = new Map(fleet.drift.map((verdict) => [verdict.device_id, verdict]));
  const rows = fleet.devices.map((device) => deviceRow(device, verdicts.get(device.id), fleet));
  return table([{ title: "Device" }, { title: "Hardware" }, { title: "State" }, { title: "Runs" }, { title: "Inferences", number: true },
    { title: "Drift" }, { title: "Seen" }, { title: "Tags" }], rows);
}

function deviceRow(device, verdict, fleet) {
  const pick = async () => {
    picked = picked === device.id ? null : device.id;
    drawn = "";
    await refresh();
  };
  const served = fleet.served[device.id];
  return element("tr", { class: picked === device.id ? "pick picked" : "pick", onclick: pick },
    cell(element("span", { class: "mono" }, device.id)), cell(device.hardware),
    cell(element("span", { title: device.error?.text ?? null }, chip(device.state))),
    cell(device.release ?? device.running?.slice(0, 12)), cell(served ? served.inferences.toLocaleString("en") : null, "number"),
    cell(verdictChip(verdict)), cell(ago(device.last_seen, fleet.now)),
    cell(Object.entries(device.tags).map(([key, value]) => element("span", { class: "tag" }, `${key}=${value}`))));
}

function verdictChip(verdict) {
  if (!verdict) return null;
  if (!verdict.enough) return chip("not enough data", "");
  return verdict.drifted.length ? chip(`${verdict.drifted.length} features`, "bad") : chip("stable", "good");
}

async function showDrift(fleet) {
  const verdict = fleet.drift.find((found) => found.device_id === picked) ?? fleet.drift.find((found) => found.drifted.length) ?? fleet.drift[0];
  place("drift").hidden = !verdict;
  if (!verdict) return;
  const seen = `${verdict.device_id} ${verdict.compared_at}`;
  if (seen === drawn) return;
  const { features } = await ask(`/api/v1/drift/${encodeURIComponent(verdict.device_id)}?features=8`);
  drawn = seen;
  const thresholds = new Map(verdict.drifted.map((feature) => [feature.name, feature.threshold]));
  place("drift-body").replaceChildren(element("div", { class: "card" },
    element("div", { class: "drift-head" }, element("span", { class: "mono" }, verdict.device_id), verdictChip(verdict),
      element("span", { class: "quiet" }, `${verdict.samples.toLocaleString("en")} samples in the last 24 hours, worth ${Math.round(verdict.effective_samples).toLocaleString("en")} independent ones`),
      element("span", { class: "legend" }, element("span", { class: "reference" }, "reference"), element("span", { class: "observed" }, "last 24 hours"))),
    element("div", { class: "histograms" }, features.map((feature) => histogram(feature, thresholds.get(feature.name))))));
}

function recent(fleet) {
  const rows = fleet.recent.map((entry) => element("tr", {}, cell(ago(entry.at, fleet.now)), cell(element("span", { class: "mono" }, entry.act)),
    cell(entry.rollout), cell(entry.device ? element("span", { class: "mono" }, entry.device) : null), cell(entry.actor === entry.device ? "the device" : entry.actor), cell(summary(entry.details), "wide")));
  return table([{ title: "When" }, { title: "Act" }, { title: "Rollout" }, { title: "Device" }, { title: "Who" }, { title: "What" }], rows, "recent");
}

function summary(details) {
  if (details.text ?? details.reason ?? details.why) return details.text ?? details.reason ?? details.why;
  return Object.entries(details).filter(([, value]) => ["string", "number"].includes(typeof value))
    .map(([key, value]) => `${key} ${String(value).length > 40 ? `${String(value).slice(0, 12)}…` : value}`).join(", ");
}

async function loop() {
  const selecting = !window.getSelection().isCollapsed; // what is being copied must not be drawn anew
  if (!document.hidden && !selecting) await refresh();
  window.setTimeout(loop, EVERY);
}

loop();
