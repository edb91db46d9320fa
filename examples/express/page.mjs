const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escaped(text) {
  return text.replace(/[&<>"]/g, (character) => ESCAPES[character]);
}

/** Returns the page as HTML. A picture has an `id`, the `url` of the file and that of the `small` picture. */
export function page(pictures) {
  const items = pictures.map(
    ({ id, url, small }) => `
      <li>
        <a href="${escaped(url)}"><img src="${escaped(small)}" alt="" loading="lazy"></a>
        <form method="post" action="/delete"><button name="id" value="${escaped(id)}">Delete</button></form>
      </li>`,
  );
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>Pictures</title>
    <link rel="stylesheet" href="/style.css">
    <script type="importmap">
      {"imports": {"fidfs-client": "/client/index.js", "#platform": "/client/platform-browser.js"}}
    </script>
    <script type="module" src="/upload.js"></script>
  </head>
  <body>
    <h1>Pictures</h1>
    <form method="post" action="/upload" enctype="multipart/form-data">
      <label>By this application: <input type="file" name="pictures" accept="image/*" multiple required></label>
      <button>Send</button>
    </form>
    <p><label>Straight to fidfs: <input type="file" id="direct" accept="image/*" multiple></label> <progress id="progress" value="0" hidden></progress></p>
    <p id="message" role="status"></p>
    <ul>${items.join('')}
    </ul>
  </body>
</html>
`;
}
