;;; What a person does in Emacs with lsp-mode, step by step; exits with 1 where one fails.  -*- lexical-binding: t -*-

(defvar said '() "What was shown in the echo area.")
(defvar answers '() "What to choose, in order.")
(setq last-nonmenu-event t make-backup-files nil create-lockfiles nil lsp-enable-file-watchers nil
      lsp-restart 'ignore lsp-auto-execute-action nil lsp-lens-enable nil lsp-headerline-breadcrumb-enable nil)
(advice-add 'message :before (lambda (form &rest rest) (when form (push (apply #'format form rest) said))))
(advice-add 'completing-read :override
            (lambda (prompt choices &rest _)
              (let ((wanted (pop answers)))
                (or (seq-find (lambda (one) (and wanted (string= wanted one))) (all-completions "" choices))
                    (error "asked %s %S, wanted %s" prompt (all-completions "" choices) wanted)))))

(defun text () (buffer-substring-no-properties (point-min) (point-max)))
(defun heard (what) (seq-some (lambda (one) (string-match-p (regexp-quote what) one)) said))
(defun codes ()
  (mapcar (lambda (one) (lsp-get one :code)) (gethash (buffer-file-name) (lsp-diagnostics))))
(defmacro till (step condition)
  `(let ((end (+ (float-time) 40)))
     (while (not ,condition)
       (when (> (float-time) end) (error "%s\nsaid: %S\ntext: %s" ,step said (text)))
       (accept-process-output nil 0.05)
       ;; lsp-mode sends changes when Emacs is idle, which it never is without a terminal.
       (lsp--flush-delayed-changes))))
(defun fix (title wanted)
  (setq answers (list title))
  (call-interactively #'lsp-execute-code-action)
  (till title (string= (text) wanted)))

(defun steps ()
  (find-file "a.py")
  (lsp)
  (till "the server starts" (and (lsp-workspaces) (eq (lsp--workspace-status (car (lsp-workspaces))) 'initialized)))
  ;; An edit of an unsaved buffer, and one undo.
  (buffer-enable-undo)
  (goto-char (point-min))
  (insert "# typed, not saved\n")
  (undo-boundary)
  (let ((before (text)))
    (pygent "chat" "edit it")
    (till "the edit's turn ends" (heard "Edited it."))
    (unless (string= (text) "# typed, not saved\nvalue = 11\n") (error "the edit: %s" (text)))
    (setq last-command nil)
    (undo-boundary)
    (undo 1)
    (unless (string= (text) before) (error "one undo: %s" (text))))
  ;; Approvals.
  (setq answers '("Allow"))
  (pygent "chat" "touch it")
  (till "an allowed command" (heard "Touched it."))
  (setq answers '("Deny"))
  (pygent "chat" "touch another")
  (till "a denied command" (heard "Left it."))
  ;; Cancel.
  (pygent "chat" "go on and on")
  (till "the turn is cancelled"
        (progn (pygent "cancel" "") (sleep-for 0.2) (accept-process-output nil 0.1) (heard "\"cancelled\":true")))
  ;; pygent.toml.
  (set-buffer-modified-p nil)
  (find-file "pygent.toml")
  (buffer-enable-undo)
  (lsp)
  (till "the file is looked at" (equal (codes) '("unknownKey")))
  (goto-char (point-min))
  (forward-line 1)
  (fix "Change `modle` to `model`" "# ä 😀\nmodel = \"m\"\n")
  (till "nothing is wrong any more" (null (codes)))
  (let ((shown (lsp-get (lsp-get (lsp-request "textDocument/hover" (lsp--text-document-position-params)) :contents) :value)))
    (unless (string-match-p (regexp-quote "from pygent.toml:2") shown) (error "the hover: %s" shown))))

(condition-case failure
    (progn (steps) (set-buffer-modified-p nil) (kill-emacs 0))
  (error (princ (format "FAILED: %s\n" (error-message-string failure)) #'external-debugging-output)
         (kill-emacs 1)))
