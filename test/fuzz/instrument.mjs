/**
 * Compiles the TypeScript of the project with a counter in every block: at the start of functions,
 * branches, loops and cases, and in the operands of `?:`, `&&`, `||` and `??` that need not be evaluated.
 *
 * V8 could say the same by `Profiler.takePreciseCoverage`, but takes milliseconds for an answer, and an
 * input takes less than one. Here an answer is an array that is there already.
 */

import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';

const COUNTS = '__counts';

/** @typedef {{ file: string, from: number, to: number }} Range counters of a file: from, below to */

/**
 * Compiles a module and all that it imports.
 *
 * @param {string} root the checkout
 * @param {string} entry a path in it
 * @param {string} out where to write to; is emptied first
 * @returns {{ entry: string, ranges: Range[], blocks: number }}
 */
export function compile(root, entry, out) {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, 'package.json'), '{ "type": "module" }\n');
  // The tests' own modules look for them beside themselves.
  symlinkSync(join(root, 'fixtures'), join(out, 'fixtures'));
  /** @type {Range[]} */
  const ranges = [];
  let blocks = 0;
  const open = [join(root, entry)];
  const known = new Set(open);
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    const name = relative(root, file);
    const counter = name.startsWith('src/') ? { next: blocks } : undefined;
    const { text, imports } = compileFile(readFileSync(file, 'utf8'), name, counter);
    if (counter !== undefined) {
      ranges.push({ file: name, from: blocks, to: counter.next });
      blocks = counter.next;
    }
    const target = join(out, name.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
    for (const specifier of imports) {
      const path = join(dirname(file), specifier);
      if (!known.has(path) && existsSync(path)) {
        known.add(path);
        open.push(path);
      }
    }
  }
  return { entry: join(out, entry.replace(/\.ts$/, '.js')), ranges, blocks };
}

/**
 * @param {string} source
 * @param {string} name
 * @param {{ next: number } | undefined} counter the next number to count by; undefined: nothing is counted
 */
function compileFile(source, name, counter) {
  /** @type {string[]} */
  const imports = [];
  const { outputText } = ts.transpileModule(source, {
    fileName: name,
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      rewriteRelativeImportExtensions: true,
      verbatimModuleSyntax: true,
    },
    transformers: { before: counter === undefined ? [] : [counting(counter)] },
  });
  for (const { fileName } of ts.preProcessFile(outputText, true, true).importedFiles) {
    if (fileName.startsWith('.')) {
      imports.push(fileName.replace(/\.js$/, '.ts'));
    }
  }
  const head = counter === undefined ? '' : `const ${COUNTS} = globalThis.skepCounts;\n`;
  return { text: head + outputText, imports };
}

/**
 * @param {{ next: number }} counter
 * @returns {ts.TransformerFactory<ts.SourceFile>}
 */
function counting(counter) {
  return (context) => {
    const { factory } = context;
    const count = () => {
      const place = factory.createElementAccessExpression(
        factory.createIdentifier(COUNTS),
        counter.next,
      );
      counter.next += 1;
      return factory.createPostfixIncrement(place);
    };
    /** @param {ts.Expression} expression */
    const counted = (expression) =>
      factory.createParenthesizedExpression(factory.createComma(count(), expression));
    /** @param {readonly ts.Statement[]} statements */
    const behindCount = (statements) => [factory.createExpressionStatement(count()), ...statements];
    /**
     * @param {ts.Statement} statement
     * @returns {ts.Block}
     */
    const block = (statement) =>
      ts.isBlock(statement)
        ? factory.updateBlock(statement, behindCount(statement.statements))
        : factory.createBlock(behindCount([statement]), true);
    /**
     * @param {ts.Node} node
     * @param {ts.Node} parent
     * @returns {ts.Node}
     */
    const visit = (node, parent) => {
      const done = ts.visitEachChild(node, (child) => visit(child, node), context);
      if (ts.isBlock(done) && ts.isFunctionLike(parent)) {
        return block(done);
      }
      return update(done, { factory, counted, behindCount, block });
    };
    return (file) =>
      /** @type {ts.SourceFile} */ (
        ts.visitEachChild(file, (child) => visit(child, file), context)
      );
  };
}

/**
 * A node with counters in it, its children being done.
 *
 * @param {ts.Node} node
 * @param {{
 *   factory: ts.NodeFactory,
 *   counted: (expression: ts.Expression) => ts.Expression,
 *   behindCount: (statements: readonly ts.Statement[]) => ts.Statement[],
 *   block: (statement: ts.Statement) => ts.Block,
 * }} tools
 * @returns {ts.Node}
 */
function update(node, { factory, counted, behindCount, block }) {
  if (ts.isIfStatement(node)) {
    const other = node.elseStatement === undefined ? undefined : block(node.elseStatement);
    return factory.updateIfStatement(node, node.expression, block(node.thenStatement), other);
  }
  if (ts.isForStatement(node)) {
    const { initializer, condition, incrementor, statement } = node;
    return factory.updateForStatement(node, initializer, condition, incrementor, block(statement));
  }
  if (ts.isForOfStatement(node)) {
    const { awaitModifier, initializer, expression, statement } = node;
    return factory.updateForOfStatement(
      node,
      awaitModifier,
      initializer,
      expression,
      block(statement),
    );
  }
  if (ts.isWhileStatement(node)) {
    return factory.updateWhileStatement(node, node.expression, block(node.statement));
  }
  if (ts.isCaseClause(node)) {
    return factory.updateCaseClause(node, node.expression, behindCount(node.statements));
  }
  if (ts.isDefaultClause(node)) {
    return factory.updateDefaultClause(node, behindCount(node.statements));
  }
  if (ts.isCatchClause(node)) {
    return factory.updateCatchClause(node, node.variableDeclaration, block(node.block));
  }
  if (ts.isConditionalExpression(node)) {
    return factory.updateConditionalExpression(
      node,
      node.condition,
      node.questionToken,
      counted(node.whenTrue),
      node.colonToken,
      counted(node.whenFalse),
    );
  }
  if (ts.isBinaryExpression(node) && isShort(node.operatorToken.kind)) {
    return factory.updateBinaryExpression(node, node.left, node.operatorToken, counted(node.right));
  }
  if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) {
    const { modifiers, typeParameters, parameters, type, equalsGreaterThanToken, body } = node;
    const inside = counted(body);
    return factory.updateArrowFunction(
      node,
      modifiers,
      typeParameters,
      parameters,
      type,
      equalsGreaterThanToken,
      inside,
    );
  }
  return node;
}

/** @param {ts.SyntaxKind} kind */
function isShort(kind) {
  return (
    kind === ts.SyntaxKind.AmpersandAmpersandToken ||
    kind === ts.SyntaxKind.BarBarToken ||
    kind === ts.SyntaxKind.QuestionQuestionToken
  );
}
