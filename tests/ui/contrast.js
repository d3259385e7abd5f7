// Texts that are hard to read, in Chromium: smaller than 12 px, or below 4.5 : 1 (WCAG 2.2, 1.4.3), and what sticks out of the page.
() => {
  const parsed = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = ([red, green, blue]) => {
    const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parsed(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.99) return colour;
    }
    return parsed(getComputedStyle(document.documentElement).colorScheme.includes("dark") ? "0 0 0" : "255 255 255");
  };
  const bad = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim();
    const element = texts.currentNode.parentElement;
    if (!text || !element.getClientRects().length || element.closest(".unseen")) continue;
    const style = getComputedStyle(element);
    const [one, two] = [
      light(parsed(element instanceof SVGElement ? style.fill : style.color)),
      light(behind(element)),
    ];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < 4.5 || parseFloat(style.fontSize) < 12)
      bad.push(`${text.slice(0, 30)}: ${ratio.toFixed(2)} : 1, ${style.fontSize}`);
  }
  const out = document.documentElement.scrollWidth - innerWidth;
  return out > 0 ? [...bad, `${out} px stick out`] : bad;
};
