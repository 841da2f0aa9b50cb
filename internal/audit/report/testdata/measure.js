// Measures pages that frames of this document show, and writes what it found as JSON into <pre id="measured">.
// A frame is as wide as a window that shows the page; it has no script of its own.
"use strict";

const luminance = (colour) => {
	const [r, g, b] = colour.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
	return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};

// contrast is that of WCAG 2: 4.5 is enough for text of any size.
const contrast = (a, b) => {
	const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
	return (light + 0.05) / (dark + 0.05);
};

const parse = (css) => css.match(/[\d.]+/g).map(Number);

// ground is the colour behind an element.
const ground = (view, element) => {
	for (let e = element; e; e = e.parentElement) {
		const colour = parse(view.getComputedStyle(e).backgroundColor);
		if (colour.length === 3 || colour[3] === 1) return colour;
	}
	return null;
};

const name = (e) => e.tagName + "." + e.getAttribute("class") + " " + (e.textContent || "").trim().slice(0, 40);

// unseen is whether an element is there for those alone who listen to the page.
const unseen = (view, element) => {
	const places = ".hidden, caption, thead, thead th";
	for (let e = element.closest(places); e; e = e.parentElement.closest(places)) {
		if (view.getComputedStyle(e).clipPath === "inset(50%)") return true;
	}
	return false;
};

// torn is whether a short word of an element is in two lines. A line may end at a hyphen.
const torn = (element) => {
	const range = element.ownerDocument.createRange();
	for (const n of element.childNodes) {
		if (n.nodeType !== Node.TEXT_NODE) continue;
		for (const word of n.data.matchAll(/(?<!\S)[^\s-]{2,14}(?!\S)/g)) {
			range.setStart(n, word.index);
			range.setEnd(n, word.index + word[0].length);
			if (new Set([...range.getClientRects()].filter((r) => r.width > 0).map((r) => r.top)).size > 1) return true;
		}
	}
	return false;
};

const measure = (frame) => {
	const view = frame.contentWindow;
	const page = frame.contentDocument.documentElement;
	const found = {
		name: frame.name,
		window: view.innerWidth,
		page: page.scrollWidth,
		body: frame.contentDocument.body.getBoundingClientRect().width,
		ground: view.getComputedStyle(frame.contentDocument.body).backgroundColor,
		texts: 0,
		leastContrast: 21,
		leastSize: 100,
		outside: [],
		overflowing: [],
		torn: [],
		pale: [],
		hosts: [...page.querySelectorAll(".host")].map((e) => [e.getBoundingClientRect().x, e.getBoundingClientRect().y]),
		bars: [...page.querySelectorAll("tr[data-event]")].map((row) => {
			const bar = row.querySelector("td svg .bar");
			const style = bar && view.getComputedStyle(bar);
			return { downtime: row.dataset.downtime, fill: style && style.fill, stripes: row.querySelectorAll(".stripes").length, edges: row.querySelectorAll(".edge").length };
		}),
	};
	for (const e of page.querySelectorAll("body *")) {
		if (!e.checkVisibility({ contentVisibilityAuto: true }) || unseen(view, e)) continue;
		const box = e.getBoundingClientRect();
		if (box.right > view.innerWidth + 0.5 || box.left < -0.5) found.outside.push(name(e));
		const own = [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim() !== "");
		if (!own) continue;
		const style = view.getComputedStyle(e);
		// Text that is wider than its box lies over what is beside it.
		if (style.display !== "inline" && !(e instanceof view.SVGElement) && e.scrollWidth > e.clientWidth + 1) found.overflowing.push(name(e));
		if (torn(e)) found.torn.push(name(e));
		const ink = parse(e instanceof view.SVGElement ? style.fill : style.color);
		const behind = ground(view, e);
		const ratio = behind ? contrast(ink, behind) : 0;
		found.texts++;
		found.leastContrast = Math.min(found.leastContrast, ratio);
		found.leastSize = Math.min(found.leastSize, parseFloat(style.fontSize));
		if (ratio < 4.5) found.pale.push(name(e) + " " + ratio.toFixed(2));
	}
	for (const list of ["outside", "overflowing", "torn", "pale"]) found[list] = found[list].slice(0, 5);
	return found;
};

addEventListener("load", () => {
	const result = document.createElement("pre");
	result.id = "measured";
	result.textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(measure));
	document.body.replaceChildren(result);
});
