/*
 * Keeps the elements with data-live-url up to date, and turns wide pictures to where they matter.
 *
 * Each is asked for anew while the tab is seen, with the ETag of its last answer. What differs is
 * changed in place: what is folded open, focused or typed into stays, and nothing jumps.
 */
"use strict";
{
    const PAUSE = 3000;
    const LONGEST_PAUSE = 60000;

    const isField = (node) => node.matches("input, textarea, select");

    const isDirty = (field) => {
        if (field.type === "hidden") {
            return false;
        }
        if (field.type === "checkbox" || field.type === "radio") {
            return field.checked !== field.defaultChecked;
        }
        if (field.tagName === "SELECT") {
            return [...field.options].some((option) => option.selected !== option.defaultSelected);
        }
        return field.value !== field.defaultValue;
    };

    /* Whether somebody is at work within. */
    const isInUse = (node) =>
        node.nodeType === Node.ELEMENT_NODE &&
        (node.contains(document.activeElement) ||
            [node, ...node.querySelectorAll("input, textarea, select")].some(
                (field) => isField(field) && isDirty(field)
            ));

    const keyOf = (node) =>
        node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || null : null;

    const isAlike = (one, other) =>
        one.nodeType === other.nodeType && one.nodeName === other.nodeName && keyOf(one) === keyOf(other);

    const setAttributes = (old, fresh) => {
        const isFolding = old.nodeName === "DETAILS";
        for (const {name} of [...old.attributes]) {
            if (!fresh.hasAttribute(name) && !(isFolding && name === "open")) {
                old.removeAttribute(name);
            }
        }
        for (const {name, value} of [...fresh.attributes]) {
            if (old.getAttribute(name) !== value && !(isFolding && name === "open")) {
                old.setAttribute(name, value);
            }
        }
    };

    /* Make the children of one node those of another, keeping every node that can stay. */
    const morphChildren = (old, fresh) => {
        let place = old.firstChild;
        for (const wanted of [...fresh.childNodes]) {
            let found = place;
            while (found && !isAlike(found, wanted)) {
                found = found.nextSibling;
            }
            const isWorthIt = found && (found === place || keyOf(wanted));
            if (!isWorthIt) {
                old.insertBefore(document.importNode(wanted, true), place);
                continue;
            }
            while (place !== found) {
                place = dropped(place);
            }
            place = found.nextSibling;
            morph(found, wanted);
        }
        while (place) {
            place = dropped(place);
        }
    };

    /* Take a node away, unless somebody is typing in it; return the next one. */
    const dropped = (node) => {
        const next = node.nextSibling;
        if (isInUse(node)) {
            node.classList.add("wf-stale");
        } else {
            node.remove();
        }
        return next;
    };

    const morph = (old, fresh) => {
        if (old.nodeType !== Node.ELEMENT_NODE) {
            if (old.nodeValue !== fresh.nodeValue) {
                old.nodeValue = fresh.nodeValue;
            }
            return;
        }
        if (old.isEqualNode(fresh)) {
            return;
        }
        if (isField(old) && isInUse(old)) {
            return;
        }
        old.classList.remove("wf-stale");
        setAttributes(old, fresh);
        morphChildren(old, fresh);
    };

    const parsed = (html) => {
        const template = document.createElement("template");
        template.innerHTML = html;
        return template.content;
    };

    const follow = (element) => {
        let tag = element.dataset.liveTag || null;
        let pause = PAUSE;
        let timer = null;

        const later = () => {
            clearTimeout(timer);
            timer = setTimeout(ask, pause);
        };

        const ask = async () => {
            if (document.hidden || !element.isConnected) {
                return; // visibilitychange asks again
            }
            try {
                const headers = {"X-Requested-With": "live", ...(tag ? {"If-None-Match": tag} : {})};
                const url = element.dataset.liveUrl;
                const answer = await fetch(url, {headers, cache: "no-store", redirect: "error"});
                pause = PAUSE;
                if (answer.status === 200) {
                    tag = answer.headers.get("ETag");
                    morphChildren(element, parsed(await answer.text()));
                    element.dispatchEvent(new CustomEvent("live:changed", {bubbles: true}));
                } else if (answer.status !== 304) {
                    pause = LONGEST_PAUSE;
                }
                element.classList.toggle("wf-offline", answer.status >= 400);
                if (answer.headers.get("X-Workflows-Live") === "off") {
                    stop();
                    return;
                }
            } catch {
                // The server does not answer, or the session has ended: ask less often.
                element.classList.add("wf-offline");
                pause = Math.min(pause * 2, LONGEST_PAUSE);
            }
            later();
        };

        const look = () => (document.hidden ? clearTimeout(timer) : ask());
        const stop = () => {
            clearTimeout(timer);
            document.removeEventListener("visibilitychange", look);
            element.removeAttribute("data-live-url");
        };

        document.addEventListener("visibilitychange", look);
        later();
    };

    /*
     * Show of a graph that is wider than the screen where its execution stands, or where it begins;
     * of what says so, such as the chart of the last hours, its end.
     */
    const showPlace = (box) => {
        if (box.scrollWidth <= box.clientWidth) {
            return;
        }
        if (box.dataset.opens === "end") {
            box.scrollLeft = box.scrollWidth;
            return;
        }
        const marks = ["failed", "waiting", "current", "taken"].map((mark) => `[data-mark="${mark}"]`);
        const places = [...marks, "[data-step]"].map((selector) => box.querySelector(selector));
        const place = places.find((found) => found !== null);
        if (place) {
            const {left, width} = place.getBoundingClientRect();
            box.scrollLeft += left + width / 2 - box.getBoundingClientRect().left - box.clientWidth / 2;
        }
    };

    document.addEventListener("DOMContentLoaded", () => {
        document.querySelectorAll(".wf-picture").forEach(showPlace);
        document.querySelectorAll("[data-live-url]").forEach(follow);
    });
}
