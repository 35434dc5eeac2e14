// Renders openapi.json: contents, operations with their schemas, and a form to try each. No dependencies.

const METHODS = ["get", "post", "put", "patch", "delete"];

/** Makes an element with attributes and children; text is always set as text. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null));
  return node;
}

const description = await (await fetch("/openapi.json")).json();
const schemas = description.components?.schemas ?? {};

function resolve(schema) {
  const name = schema?.$ref?.split("/").pop();
  return name ? { name, ...schemas[name] } : schema ?? {};
}

/** A schema as compact notation, one level deep unless `depth` allows more. */
function notation(schema, depth = 3, indent = "") {
  const found = resolve(schema);
  const pad = indent + "  ";
  if (found.oneOf || found.anyOf) {
    return (found.oneOf ?? found.anyOf).map((one) => notation(one, depth, indent)).join(" | ");
  }
  if (found.allOf) return found.allOf.map((one) => notation(one, depth, indent)).join(" & ");
  if (found.enum) return found.enum.map((one) => JSON.stringify(one)).join(" | ");
  const type = Array.isArray(found.type) ? found.type.join(" | ") : found.type;
  if (found.type === "array" || found.items) return `[${notation(found.items, depth, indent)}]`;
  if (found.properties) {
    if (depth === 0) return found.name ?? "{…}";
    const required = new Set(found.required ?? []);
    const lines = Object.entries(found.properties).map(([name, inner]) => {
      const note = (inner.description ?? resolve(inner).description ?? "").split("\n")[0];
      return `${pad}${name}${required.has(name) ? "" : "?"}: ${notation(inner, depth - 1, pad)}${note ? `  // ${note}` : ""}`;
    });
    return `{\n${lines.join("\n")}\n${indent}}`;
  }
  return type ?? "any";
}

function exampleOf(content) {
  const media = content?.["application/json"];
  if (!media) return undefined;
  return media.example ?? resolve(media.schema).example ?? resolve(media.schema).examples?.[0] ?? {};
}

function parametersTable(parameters) {
  if (!parameters.length) return undefined;
  const rows = parameters.map((one) =>
    el("tr", {}, el("td", {}, el("code", {}, one.name)), el("td", {}, one.in + (one.required ? ", required" : "")),
      el("td", {}, one.description ?? "")));
  return el("table", {}, el("thead", {}, el("tr", {}, el("th", {}, "Parameter"), el("th", {}, "In"), el("th", {}, "Meaning"))),
    el("tbody", {}, ...rows));
}

function contents(title, content) {
  return Object.entries(content ?? {}).map(([kind, media]) =>
    el("section", {}, el("h3", {}, `${title} · ${kind}`), media.schema && el("pre", { tabindex: 0 }, notation(media.schema))));
}

function tryForm(method, path, operation, parameters) {
  const inputs = parameters.map((one) => ({ one, input: el("input", { name: one.name, required: one.required && one.in === "path" }) }));
  const example = exampleOf(operation.requestBody?.content);
  const body = example === undefined ? undefined : el("textarea", { "aria-label": "Body", spellcheck: "false" });
  if (body) body.value = JSON.stringify(example, null, 2);
  const status = el("p", { role: "status" });
  const output = el("pre", { hidden: true, tabindex: 0 });
  const submit = async (event) => {
    event.preventDefault();
    let target = path;
    const query = new URLSearchParams();
    for (const { one, input } of inputs) {
      if (one.in === "path") target = target.replace(`{${one.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.append(one.name, input.value);
    }
    if ([...query].length) target += `?${query}`;
    const headers = { "X-Lorekeep-Workspace": document.getElementById("workspace").value || "default" };
    if (body) headers["Content-Type"] = "application/json";
    const started = performance.now();
    status.textContent = "Sending…";
    try {
      const response = await fetch(target, { method: method.toUpperCase(), headers, body: body?.value });
      const text = await response.text();
      status.className = response.ok ? "ok" : "bad";
      status.textContent = `${response.status} ${response.statusText} · ${Math.round(performance.now() - started)} ms · ${response.headers.get("X-Request-Id") ?? ""}`;
      output.hidden = false;
      try { output.textContent = JSON.stringify(JSON.parse(text), null, 2); } catch { output.textContent = text; }
    } catch (fault) {
      status.className = "bad";
      status.textContent = String(fault);
    }
  };
  return el("form", { class: "try", onsubmit: submit }, el("h3", {}, "Try it"),
    ...inputs.map(({ one, input }) => el("label", {}, `${one.name}`, input)), body,
    el("div", {}, el("button", {}, "Send")), status, output);
}

function operationView(method, path, operation) {
  const parameters = operation.parameters ?? [];
  const ends = Object.keys(operation.requestBody?.content ?? {});
  const forms = !ends.length || ends.includes("application/json");
  const answers = Object.entries(operation.responses ?? {}).flatMap(([status, one]) => contents(`${status}`, resolve(one).content));
  const details = el("details", { class: "operation", id: operation.operationId },
    el("summary", {}, el("span", { class: `method ${method}` }, method.toUpperCase()), el("code", {}, path), " ",
      el("span", { class: "summary" }, operation.summary ?? "")),
  );
  // Built when opened: the page lists some eighty operations.
  details.addEventListener("toggle", () => {
    if (details.querySelector("div")) return;
    details.append(el("div", {}, el("p", {}, operation.description ?? ""), parametersTable(parameters),
      ...contents("Body", operation.requestBody?.content), ...answers,
      forms ? tryForm(method, path, operation, parameters) : undefined));
  });
  return details;
}

function render() {
  document.getElementById("about").textContent = description.info.description ?? "";
  document.getElementById("version").textContent = description.info.version;
  const main = document.getElementById("operations");
  const nav = document.getElementById("contents");
  main.replaceChildren();
  for (const tag of description.tags ?? []) {
    const list = el("ul");
    const views = [];
    for (const [path, item] of Object.entries(description.paths)) {
      for (const method of METHODS) {
        const operation = item[method];
        if (!operation?.tags?.includes(tag.name)) continue;
        views.push(operationView(method, path, operation));
        list.append(el("li", {}, el("a", { href: `#${operation.operationId}` }, operation.operationId)));
      }
    }
    main.append(el("h2", {}, tag.name), el("p", { class: "summary" }, tag.description ?? ""), ...views);
    nav.append(el("h2", {}, tag.name), list);
  }
  openTarget();
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}

document.getElementById("settings").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("find").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const view of document.querySelectorAll("details.operation")) {
    view.hidden = !`${view.id} ${view.querySelector("summary").textContent}`.toLowerCase().includes(wanted);
  }
});
addEventListener("hashchange", openTarget);
render();
