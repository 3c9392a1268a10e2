-- Pygent in Neovim 0.11 and later, with no plugin: :source this, or put it into init.lua.
vim.lsp.config("pygent", {
  cmd = { "pygent-server", "--stdio" },
  root_markers = { "pygent.toml", ".git" },
  init_options = { pygent = { trusted = false } },
})
vim.lsp.enable("pygent")

-- :Pygent fix the tests      progress shows below, the answer comes as a message
vim.api.nvim_create_user_command("Pygent", function(given)
  local client = vim.lsp.get_clients({ name = "pygent" })[1]
  if not client then
    return vim.notify("Pygent does not run: open a file of a project first.", vim.log.levels.WARN)
  end
  client:exec_cmd({ command = "pygent.chat", arguments = { given.args } }, {}, function(error, result)
    vim.notify(error and error.message or result.reply)
  end)
end, { nargs = "+" })
