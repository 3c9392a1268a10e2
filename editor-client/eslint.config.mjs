import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", "out", "src/protocol.ts", "*.mjs", "test/*.mjs", "test/*.cjs"] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      complexity: ["error", { max: 12, variant: "modified" }],
      eqeqeq: "error",
      "max-lines": ["error", 350],
      "max-lines-per-function": ["error", 50],
      "no-console": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": "off",
      "@typescript-eslint/no-floating-promises": ["error", { allowForKnownSafeCalls: [{ from: "package", package: "node:test", name: ["test", "describe", "it"] }] }],
      "@typescript-eslint/no-unsafe-return": "off", // what VS Code's `dispose` gives
      "@typescript-eslint/no-unsafe-class-instance-assignment": "off", // `TreeView` and its kin are disposables
      "@typescript-eslint/no-meaningless-void-operator": "off",
      "@typescript-eslint/no-unused-vars": ["error", { ignoreRestSiblings: true, argsIgnorePattern: "^_" }],
      "@typescript-eslint/switch-exhaustiveness-check": "error",
    },
  },
);
