-- A person types in Neovim while an answer streams into the conversation; the document at the end is in result.txt.

local function lines() return vim.api.nvim_buf_get_lines(0, 0, -1, false) end
local function text() return table.concat(lines(), "\n") end
local function till(condition, what)
  if not vim.wait(60000, condition, 5) then error(what .. "\ntext: " .. text()) end
end
local function offered(title)
  local seen
  vim.ui.select = function(items, options, chosen)
    seen = {}
    for number, item in ipairs(items) do
      if options.format_item(item) == title then
        seen[title] = true
        return chosen(item, number)
      end
    end
  end
  vim.lsp.buf.code_action()
  till(function() return seen end, "the code actions for " .. title)
  return seen[title]
end
local function find(line)
  for number, one in ipairs(lines()) do
    if one == line then return number end
  end
end

local function steps()
  till(function() return next(vim.lsp.buf_get_clients(0)) ~= nil end, "the server starts")
  vim.api.nvim_buf_set_lines(0, 0, -1, false, { "## You", "", "Count" })
  assert(offered("Send"))
  till(function() return text():find("w001 ", 1, true) end, "the answer begins")
  math.randomseed(10)
  local typed = 0
  while not text():find("the end%.\n\n## You") do
    typed = typed + 1
    local row = find("## You")
    if typed % 3 == 0 then -- a word, where nothing moves
      vim.api.nvim_buf_set_text(0, row + 1, 0, row + 1, 0, { "[" .. typed .. "]" })
    else -- a line above the answer
      vim.api.nvim_buf_set_lines(0, row + 1, row + 1, false, { "[" .. typed .. "]" })
    end
    vim.wait(math.random(20, 900), function() return false end, 5)
    if typed > 400 then error("it does not end: " .. text()) end
  end
  if offered("Remove misplaced words") then
    till(function() return not offered("Remove misplaced words") end, "they are removed")
  end
  for number = 1, typed do
    assert(text():find("[" .. number .. "]", 1, true), "lost: " .. number .. "\n" .. text())
  end
  vim.fn.writefile(lines(), "result.txt")
end

local ok, failure = xpcall(steps, debug.traceback)
if not ok then io.stderr:write("FAILED: " .. tostring(failure) .. "\n") end
vim.cmd(ok and "qall!" or "cquit 1")
