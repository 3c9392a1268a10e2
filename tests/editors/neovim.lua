-- What a person does in Neovim, step by step; exits with 1 and the step's name where one fails.

local messages, answers, picks = {}, {}, {}
vim.notify = function(text) table.insert(messages, text) end
vim.fn.inputlist = function(lines) -- 0.7 asks so: the answer is the number of the line with this word
  local wanted = table.remove(answers, 1)
  for _, line in ipairs(lines) do
    local number, title = line:match("^(%d+)%. (.*)$")
    if wanted and title == wanted then return tonumber(number) end
  end
  error("asked for " .. vim.inspect(lines) .. ", wanted " .. tostring(wanted))
end
vim.ui.select = function(items, options, chosen)
  for number, item in ipairs(items) do
    if options.format_item(item) == picks[1] then
      table.remove(picks, 1)
      return chosen(item, number)
    end
  end
  error("no " .. tostring(picks[1]) .. " among " .. vim.inspect(items))
end

local function text() return table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n") end
local function said(what)
  return function() return table.concat(messages, "\n"):find(what, 1, true) ~= nil end
end
local function shows(what)
  return function() return text():find(what, 1, true) ~= nil end
end
local function till(condition, what)
  if not vim.wait(40000, condition, 20) then
    error(what .. "\nmessages: " .. vim.inspect(messages) .. "\ntext: " .. text())
  end
end
local function choose(title)
  picks = { title }
  vim.lsp.buf.code_action()
  till(function() return #picks == 0 end, "choose " .. title)
end

local function steps()
  till(function() return next(vim.lsp.buf_get_clients(0)) ~= nil end, "the server starts")

  -- An edit of an unsaved buffer, and one undo.
  vim.api.nvim_buf_set_lines(0, 0, 0, false, { "# typed, not saved" })
  vim.cmd("let &undolevels = &undolevels") -- what follows is another change to undo
  local before = text()
  vim.cmd("Pygent chat edit it")
  till(said("Edited it."), "the edit's turn ends")
  assert(text() == "# typed, not saved\nvalue = 11", text())
  vim.cmd("undo")
  assert(text() == before, "one undo: " .. text())

  -- Approvals.
  answers = { "Allow" }
  vim.cmd("Pygent chat touch it")
  till(said("Touched it."), "an allowed command")
  answers = { "Deny" }
  vim.cmd("Pygent chat touch another")
  till(said("Left it."), "a denied command")

  -- Cancel.
  vim.cmd("Pygent chat go on and on")
  till(function()
    vim.cmd("Pygent cancel") -- the first ones may come before the turn has begun
    vim.wait(200)
    return said("cancelled = true")()
  end, "the turn is cancelled")

  -- A conversation document: Send, an approval, the answer, Stop.
  vim.cmd("edit! chat.pygent.md")
  till(function() return next(vim.lsp.buf_get_clients(0)) ~= nil end, "the conversation is attached")
  vim.api.nvim_buf_set_lines(0, 0, -1, false, { "## You", "", "Say hi" })
  choose("Send")
  till(shows("> **Approval needed**"), "the document asks, and no list takes the keys")
  choose("Allow")
  till(shows("It streams in."), "the answer comes into the document")
  assert(shows("from-the-shell")() and shows("> **Allowed**")(), text())
  till(shows("It streams in.\n\n## You"), "the next message's heading")
  vim.api.nvim_buf_set_lines(0, -1, -1, false, { "And on" })
  choose("Send")
  till(shows("word word"), "the second answer streams in")
  choose("Stop")
  till(shows("> **Stopped.**"), "the turn is stopped")

  -- A task, and the list of tasks.
  messages = {}
  vim.cmd("Pygent delegate write tests")
  till(said("tsk_"), "the task's id")
  till(function()
    vim.cmd("Pygent tasks")
    vim.wait(200)
    return said('status = "completed"')()
  end, "the list shows the finished task")

  -- pygent.toml as a language: a mistake is marked, completed and mended.
  vim.cmd("edit! pygent.toml")
  till(function() return next(vim.lsp.buf_get_clients(0)) ~= nil end, "the settings are attached")
  vim.api.nvim_buf_set_lines(0, 0, -1, false, { 'modle = "x"' })
  till(function() return #vim.diagnostic.get(0) > 0 end, "the unknown key is marked")
  vim.api.nvim_win_set_cursor(0, { 1, 3 })
  local where = vim.lsp.util.make_position_params()
  local offered = vim.inspect(vim.lsp.buf_request_sync(0, "textDocument/completion", where, 10000))
  assert(offered:find('label = "model"', 1, true), offered)
  choose("Change `modle` to `model`")
  till(shows('model = "x"'), "the key is mended")
  till(function() return #vim.diagnostic.get(0) == 0 end, "and no longer marked")
end

local ok, failure = xpcall(steps, debug.traceback)
if not ok then io.stderr:write("FAILED: " .. tostring(failure) .. "\n") end
vim.cmd(ok and "qall!" or "cquit 1")
