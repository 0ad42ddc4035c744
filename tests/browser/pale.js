/* The texts that contrast with what is behind them by less than arguments[0], each with how much.
   Behind a text are opaque grounds, and transparent ones laid over them. */
const least = arguments[0];
const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
};
const over = (top, under) => top.slice(0, 3).map((part, i) => part * top[3] + under[i] * (1 - top[3]));
const behind = (it) => {
    const colour = rgba(getComputedStyle(it).backgroundColor);
    if (colour[3] === 1 || !it.parentElement) return colour[3] ? colour.slice(0, 3) : [255, 255, 255];
    return over(colour, behind(it.parentElement));
};
const light = (colour) => {
    const [r, g, b] = colour.map((part) => {
        const share = part / 255;
        return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const found = [];
for (const it of document.querySelectorAll("#content *, main *")) {
    const own = [...it.childNodes].filter((one) => one.nodeType === Node.TEXT_NODE);
    const text = own.map((one) => one.textContent).join(" ").trim();
    if (!text || it.closest("svg, select, [disabled]") || !it.checkVisibility()) continue;
    const under = behind(it);
    const [one, other] = [light(over(rgba(getComputedStyle(it).color), under)), light(under)];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < least) found.push(`${contrast.toFixed(1)}: ${text.slice(0, 60)}`);
}
return found;
