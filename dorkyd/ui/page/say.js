// One line for everybody: seen for a while, and read out once.

const LONG_MS = 6000;
let timer = 0;

export function say(text, bad = false) {
  const line = document.getElementById("said");
  line.textContent = text;
  line.className = bad ? "shown bad" : "shown";
  clearTimeout(timer);
  timer = setTimeout(() => {
    line.className = "";
    line.textContent = "";
  }, LONG_MS);
}

// Do what a person asked for, and say what came of it.
export async function doing(work, done) {
  try {
    const answer = await work();
    if (done) say(typeof done === "function" ? done(answer) : done);
    return answer;
  } catch (problem) {
    say(`${problem.message}${problem.hint ? ` ${problem.hint}` : ""}`, true);
    return undefined;
  }
}
