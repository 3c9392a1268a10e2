-- Pygent in Neovim 0.7 to 0.10, with no plugin; docs/editors/neovim.md has it for 0.11 and later, too.
local pygent -- the id of the client

vim.api.nvim_create_autocmd({ "BufReadPost", "BufNewFile" }, {
  callback = function(event)
    if vim.bo[event.buf].buftype ~= "" then return end
    if not (pygent and vim.lsp.get_client_by_id(pygent)) then
      pygent = vim.lsp.start_client({
        name = "pygent",
        cmd = { "pygent-server", "--stdio" },
        root_dir = vim.fn.getcwd(),
        flags = { debounce_text_changes = 0 }, -- the server hears every key before it writes
      })
    end
    vim.lsp.buf_attach_client(event.buf, pygent)
  end,
})

vim.api.nvim_create_user_command("Pygent", function(given) -- :Pygent chat fix the tests
  local name, text = given.args:match("^(%S+)%s*(.*)$")
  local params = { command = "pygent." .. name, arguments = text ~= "" and { text } or {} }
  vim.lsp.get_client_by_id(pygent).request("workspace/executeCommand", params, function(failure, result)
    vim.notify(failure and failure.message or result.reply or vim.inspect(result))
  end)
end, { nargs = "+" })

vim.keymap.set({ "n", "v" }, "<leader>p", ":lua vim.lsp.buf.code_action()<CR>")
