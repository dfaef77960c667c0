// Rollouts: stages with their progress, why one was halted, and the devices behind it.

import { ago, cell, chip, element, notice, table, tone } from "./dom.js";

const ORDER = ["succeeded", "probation", "trial", "verifying", "downloading", "assigned", "failed", "rolling_back",
  "rolled_back", "withdrawn", "stranded", "superseded", "waiting", "skipped"];
const opened = new Set();

export function rollouts(found, releases, now) {
  if (found.length === 0) {
    return [releases === 0
      ? notice("No release yet. Compile a model, then push its bundles:", "edgefleet release push FILE.efb ...")
      : notice("No rollout yet. Bring a release to your devices:", "edgefleet rollout create --release NAME@VERSION --to all")];
  }
  return found.map((rollout) => card(rollout, now));
}

function card(rollout, now) {
  const details = element("details", {}, element("summary", {}, `${rollout.deployments.length} devices`), devices(rollout, now));
  details.open = opened.has(rollout.id);
  details.addEventListener("toggle", () => (details.open ? opened.add(rollout.id) : opened.delete(rollout.id)));
  return element("div", { class: "card" },
    element("div", { class: "rollout-head" }, element("strong", {}, rollout.release), `to ${rollout.to}`,
      chip(rollout.state), goingBack(rollout), element("span", { class: "quiet" }, `${rollout.id}, created ${ago(rollout.created_at, now)}`)),
    rollout.reason ? element("p", { class: "reason" }, rollout.reason) : null,
    element("p", { class: "judged" }, judged(rollout)),
    element("div", { class: "stages" }, rollout.stages.flatMap(stage)),
    details);
}

function goingBack(rollout) {
  if (!["halted", "aborted", "rolled_back"].includes(rollout.state)) return null;
  if (rollout.counts.stranded) return chip(`${rollout.counts.stranded} stranded`, "bad");
  return rollout.undone_at === null ? chip("going back", "warn") : chip("gone back", "warn");
}

function judged(rollout) {
  const minutes = rollout.probation_ms / 60000;
  const probation = minutes >= 1 ? `${Number(minutes.toPrecision(2))} min` : `${rollout.probation_ms / 1000} s`;
  const by = rollout.vectors === null ? "health checks" : `health checks and vectors (${rollout.vectors.origin})`;
  return `Success ≥ ${percent(rollout.success)}, errors ≤ ${percent(rollout.error)}, probation ${probation}; judged by ${by}`;
}

function percent(share) {
  return `${Number((100 * share).toPrecision(3))} %`;
}

function stage(found, index) {
  const bar = element("div", { class: "bar" });
  for (const state of ORDER) {
    if (!found.counts[state] || tone(state) === "") continue;
    const part = element("span", { class: tone(state), title: `${found.counts[state]} ${state}` });
    part.style.width = `${(100 * found.counts[state]) / Math.max(1, found.devices)}%`;
    bar.append(part);
  }
  const pending = found.started_at === null ? "pending" : null;
  const counts = ORDER.filter((state) => found.counts[state]).map((state) => `${found.counts[state]} ${state.replaceAll("_", " ")}`);
  return [
    element("span", { class: pending }, `Stage ${index + 1}, ${found.percent} %`), bar,
    element("span", { class: "quiet" }, counts.join(", ")),
  ];
}

function devices(rollout, now) {
  const rows = rollout.deployments.map((deployment) => element("tr", {},
    cell(element("span", { class: "mono" }, deployment.device)), cell(deployment.hardware),
    cell(deployment.stage === null ? null : String(deployment.stage)), cell(chip(deployment.state)),
    cell(deployment.why, "wide"), cell(ago(deployment.updated_at, now))));
  return table([{ title: "Device" }, { title: "Hardware" }, { title: "Stage" }, { title: "State" }, { title: "Why" }, { title: "Changed" }], rows);
}
