-- What a person does with pygent.toml in Neovim, step by step; exits with 1 and the step's name where one fails.

local pick
vim.ui.select = function(items, options, chosen)
  for number, item in ipairs(items) do
    if options.format_item(item) == pick then return chosen(item, number) end
  end
  error("no " .. tostring(pick) .. " among " .. vim.inspect(items))
end

local function text() return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n") end
local function till(what, condition)
  if not vim.wait(40000, condition, 20) then
    error(what .. "\ndiagnostics: " .. vim.inspect(vim.diagnostic.get(0)) .. "\ntext: " .. text())
  end
end
local function codes()
  local found = {}
  for _, one in ipairs(vim.diagnostic.get(0)) do table.insert(found, one.user_data and one.user_data.lsp.code or one.code) end
  table.sort(found)
  return table.concat(found, " ")
end
local function fix(title, wanted)
  pick = title
  vim.lsp.buf.code_action()
  till(title, function() return text() == wanted end)
end
local function at(row, column) vim.api.nvim_win_set_cursor(0, { row, column }) end

local function hovered(what)
  vim.lsp.buf.hover()
  till("the hover says " .. what, function()
    for _, window in ipairs(vim.api.nvim_list_wins()) do
      if vim.api.nvim_win_get_config(window).relative ~= "" then
        local lines = vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(window), 0, -1, false)
        return table.concat(lines, "\n"):find(what, 1, true) ~= nil
      end
    end
  end)
end

local function completed(what)
  local params = vim.lsp.util.make_position_params()
  for _, answer in pairs(vim.lsp.buf_request_sync(0, "textDocument/completion", params, 20000)) do
    for _, item in ipairs(answer.result.items) do
      if item.label == what then
        vim.lsp.util.apply_text_edits({ item.textEdit }, 0, "utf-16")
        return
      end
    end
  end
  error("no completion " .. what)
end

local function steps()
  till("the server starts", function() return next(vim.lsp.buf_get_clients(0)) ~= nil end)
  till("the file is looked at", function() return codes() == "unknownKey" end)
  local place = vim.diagnostic.get(0)[1]
  assert(place.lnum == 1 and place.col == 0 and place.end_col == 5, vim.inspect(place))

  -- The quick fix, and one undo.
  at(2, 0)
  fix("Change `modle` to `model`", '# ä 😀\nmodel = "m"')
  till("nothing is wrong any more", function() return codes() == "" end)
  vim.cmd("undo")
  till("what was wrong is wrong again", function() return codes() == "unknownKey" end)
  fix("Change `modle` to `model`", '# ä 😀\nmodel = "m"')

  hovered("In force: `m` from pygent.toml:2")

  -- Completion, while the line is half typed.
  vim.api.nvim_buf_set_lines(0, 2, 2, false, { "confirm_b" })
  at(3, 8)
  vim.cmd("startinsert!")
  vim.api.nvim_win_set_cursor(0, { 3, 9 })
  completed("confirm_bash")
  assert(text():find("\nconfirm_bash = ", 1, true), text())

  -- A secret goes to .env.
  vim.api.nvim_buf_set_lines(0, 2, -1, false, { 'api_key = "not-a-real-key"' })
  till("the secret is seen", function() return codes() == "secretInFile" end)
  at(3, 0)
  fix("Move the secret to .env as OPENAI_API_KEY", '# ä 😀\nmodel = "m"')
  local env = vim.fn.bufadd(vim.fn.getcwd() .. "/.env")
  vim.fn.bufload(env)
  assert(vim.api.nvim_buf_get_lines(env, 0, 1, false)[1] == "OPENAI_API_KEY=not-a-real-key")
end

local ok, failure = xpcall(steps, debug.traceback)
if not ok then io.stderr:write("FAILED: " .. tostring(failure) .. "\n") end
vim.cmd(ok and "qall!" or "cquit 1")
