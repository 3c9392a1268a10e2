" What a person does with pygent.toml in Vim with ALE, step by step; exits with 1 where one fails.

function! s:Till(what, Condition) abort
  for l:turn in range(800)
    if a:Condition()
      return
    endif
    sleep 50m
  endfor
  throw a:what . ': ' . string(ale#engine#GetLoclist(bufnr(''))) . ' ' . string(getline(1, '$'))
endfunction

let s:offered = []
function! s:Offered(data, items) abort
  let s:offered += map(copy(a:items), {_, item -> [a:data, item[1]]})
endfunction

function! s:Steps() abort
  call s:Till('the file is looked at', {-> len(ale#engine#GetLoclist(bufnr('')))})
  let l:found = ale#engine#GetLoclist(bufnr(''))[0]
  if l:found.lnum != 2 || l:found.col != 1 || l:found.code !=# 'unknownKey'
    throw string(l:found)
  endif
  call cursor(2, 1)
  call ale#codefix#Execute(0, function('s:Offered'))
  call s:Till('the quick fixes come', {-> len(s:offered)})
  let [l:data, l:item] = s:offered[0]
  if l:item.title !=# 'Change `modle` to `model`'
    throw string(s:offered)
  endif
  call ale#codefix#ApplyLSPCodeAction(l:data, l:item)
  call s:Till('it is mended', {-> getline(2) ==# 'model = "m"'})
  ALELint " it does so by itself when a person types, which a script is not
  call s:Till('nothing is wrong any more', {-> !len(ale#engine#GetLoclist(bufnr('')))})
endfunction

try
  call s:Steps()
catch
  call writefile(['FAILED: ' . v:exception . ' at ' . v:throwpoint], '/dev/stderr', 'a')
  cquit 1
endtry
qall!
