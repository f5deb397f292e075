/**
 * What the guest says while it runs: each test when it begins, so that one that hangs is known, and how it
 * ended. For vitest in the guest; the report itself is of its JSON reporter.
 */

/** A reporter of vitest. */
export class GuestReporter {
  /** @param {import('vitest/node').TestCase} test */
  onTestCaseReady(test) {
    console.log(`${test.module.relativeModuleId} > ${test.fullName}`);
  }

  /** @param {import('vitest/node').TestCase} test */
  onTestCaseResult(test) {
    const { state, errors = [] } = test.result();
    const { duration = 0, retryCount = 0 } = test.diagnostic() ?? {};
    const again = retryCount > 0 ? ', retried' : '';
    console.log(`  ${state} ${Math.round(duration)} ms${again}`);
    for (const { stack, message } of errors) {
      console.log(stack ?? message);
    }
  }

  /** @param {ReadonlyArray<import('vitest/node').TestModule>} modules */
  onTestRunEnd(modules) {
    for (const module of modules) {
      module.errors().forEach(({ message }) => {
        console.log(`${module.relativeModuleId}: ${message}`);
      });
    }
  }
}
