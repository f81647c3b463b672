import { Body, Controller, Get, Param, ParseIntPipe, Post, Put } from '@nestjs/common';
import { AccountsService } from './accounts.service.js';
import { RatesService } from './rates.service.js';
import { ReportService } from './report.service.js';

@Controller()
export class BankController {
  constructor(
    private readonly accounts: AccountsService,
    private readonly rates: RatesService,
    private readonly report: ReportService,
  ) {}

  @Put('accounts/:account')
  deposit(@Param('account') account: string, @Body('amount', ParseIntPipe) amount: number): Promise<void> {
    return this.accounts.deposit(account, amount);
  }

  @Get('accounts/:account')
  async balance(@Param('account') account: string): Promise<{ balance: number }> {
    return { balance: await this.accounts.balanceOf(account) };
  }

  @Post('transfers')
  transfer(
    @Body('from') from: string,
    @Body('to') to: string,
    @Body('amount', ParseIntPipe) amount: number,
  ): Promise<void> {
    return this.accounts.transfer(from, to, amount);
  }

  @Post('rates/:currency')
  async refresh(@Param('currency') currency: string): Promise<{ rate: number | undefined }> {
    await this.rates.refresh(currency);
    return { rate: this.rates.rateOf(currency) };
  }

  @Post('report')
  async close(): Promise<{ written: boolean }> {
    return { written: await this.report.close(async () => `closed at ${new Date().toISOString()}`) };
  }
}
