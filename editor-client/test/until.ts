/** Wait until something holds, and return it.  What it throws counts as no. */
export async function until<Result>(look: () => Promise<Result> | Result, patience = 45_000): Promise<NonNullable<Result>> {
  const end = Date.now() + patience;
  for (let last = ""; ; ) {
    try {
      const found = await look();
      if (found) return found;
    } catch (error) {
      last = String(error);
    }
    if (Date.now() > end) throw new Error(`it did not come to be: ${String(look)} ${last}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
