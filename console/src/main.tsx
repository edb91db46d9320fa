import { render } from 'preact';
import { App } from './app';
import './styles/base.css';
import './styles/shell.css';
import './styles/upload.css';
import './styles/file.css';
import './styles/files.css';
import './styles/cluster.css';

const root = document.getElementById('app');
if (root) render(<App />, root);
