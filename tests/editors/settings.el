;;; What a person does with pygent.toml in Emacs with eglot, step by step; exits with 1 where one fails.  -*- lexical-binding: t -*-

(defvar answer nil "What to choose.")
(setq last-nonmenu-event t make-backup-files nil create-lockfiles nil)
(advice-add 'completing-read :override
            (lambda (_ choices &rest _)
              (or (seq-find (lambda (one) (string= one answer)) (all-completions "" choices))
                  (error "no %S among %S" answer (all-completions "" choices)))))

(defun text () (buffer-substring-no-properties (point-min) (point-max)))
(advice-add 'eglot-handle-notification :after
            (lambda (_ method &rest params)
              (when (eq method 'textDocument/publishDiagnostics)
                (setq published (append (plist-get params :diagnostics) nil)))))
(defvar published 'nothing "The diagnostics that came last.")
(defun codes () (and (listp published) (mapcar (lambda (one) (plist-get one :code)) published)))
(defmacro till (step condition)
  `(let ((end (+ (float-time) 40)))
     (while (not ,condition)
       (when (> (float-time) end) (error "%s\npublished: %S\ntext: %s" ,step published (text)))
       (accept-process-output nil 0.05)
       ;; Emacs does this when it is idle, which it never is without a terminal.
       (when (eglot-managed-p) (eglot--signal-textDocument/didChange)))))
(defun fix (title wanted)
  (setq answer title)
  (eglot-code-actions (line-beginning-position) (line-end-position) nil t)
  (till title (string= (text) wanted)))

(defun steps ()
  (find-file "pygent.toml")
  (buffer-enable-undo)
  (apply #'eglot--connect (eglot--guess-contact))
  (till "the file is looked at" (equal (codes) '("unknownKey")))
  ;; The quick fix.
  (goto-char (point-min))
  (forward-line 1)
  (fix "Change `modle` to `model`" "# ä 😀\nmodel = \"m\"\n")
  (till "nothing is wrong any more" (null published))
  ;; Hover.
  (let* ((answer (jsonrpc-request (eglot--current-server-or-lose) :textDocument/hover
                                  (eglot--TextDocumentPositionParams)))
         (shown (eglot--hover-info (plist-get answer :contents) (plist-get answer :range))))
    (unless (string-match-p (regexp-quote "from pygent.toml:2") shown) (error "the hover: %s" shown)))
  ;; Completion, while the line is half typed.
  (goto-char (point-max))
  (insert "confirm_b")
  (eglot--signal-textDocument/didChange)
  (let ((completion-at-point-functions '(eglot-completion-at-point)))
    (completion-at-point))
  (unless (string-suffix-p "\nconfirm_bash" (string-trim-right (replace-regexp-in-string "confirm_bash = .*" "confirm_bash" (text))))
    (error "the completion: %s" (text)))
  ;; What is wrong in a table, and the outline.
  (goto-char (point-max))
  (delete-region (line-beginning-position) (point-max))
  (insert "[limits]\nstep = 3\n")
  (till "the wrong key is seen" (equal (codes) '("unknownKey")))
  (forward-line -1)
  (fix "Change `step` to `limits.steps`" "# ä 😀\nmodel = \"m\"\n[limits]\nsteps = 3\n")
  (eglot-format-buffer)
  (till "the file is tidy" (string= (text) "# ä 😀\nmodel = \"m\"\n\n[limits]\nsteps = 3\n")))

(condition-case failure
    (progn (steps) (set-buffer-modified-p nil) (kill-emacs 0))
  (error (princ (format "FAILED: %s\n" (error-message-string failure)) #'external-debugging-output)
         (kill-emacs 1)))
