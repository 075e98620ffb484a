"""Small lists of made-up people in every format, in the form that each authority publishes."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from compliance.screening import eu_csv, ofac_xml, sdn, uk_csv, un_xml
from compliance.screening.entries import ParsedList

Files = dict[str, bytes]

OFAC_XML = """<?xml version="1.0" encoding="utf-8"?>
<Sanctions xmlns="http://www.un.org/sanctions/1.0">
 <DateOfIssue CalendarTypeID="1"><Year>2026</Year><Month>11</Month><Day>20</Day></DateOfIssue>
 <ReferenceValueSets>
  <AliasTypeValues><AliasType ID="1400">A.K.A.</AliasType><AliasType ID="1401">F.K.A.</AliasType>
   <AliasType ID="1403">Name</AliasType></AliasTypeValues>
  <CountryValues><Country ID="11" ISO2="AA">Freedonia</Country><Country ID="12">Sylvania</Country>
  </CountryValues>
  <FeatureTypeValues><FeatureType ID="8">Birthdate</FeatureType>
   <FeatureType ID="9">Place of Birth</FeatureType>
   <FeatureType ID="10">Nationality Country</FeatureType>
   <FeatureType ID="25">Location</FeatureType></FeatureTypeValues>
  <PartySubTypeValues><PartySubType ID="1" PartyTypeID="4">Vessel</PartySubType>
   <PartySubType ID="3" PartyTypeID="2">Unknown</PartySubType>
   <PartySubType ID="4" PartyTypeID="1">Unknown</PartySubType></PartySubTypeValues>
  <PartyTypeValues><PartyType ID="1">Individual</PartyType><PartyType ID="2">Entity</PartyType>
   <PartyType ID="4">Transport</PartyType></PartyTypeValues>
 </ReferenceValueSets>
 <Locations>
  <Location ID="21"><LocationCountry CountryID="11" CountryRelevanceID="1"/></Location>
  <Location ID="22"><LocationCountry CountryID="12" CountryRelevanceID="1"/></Location>
 </Locations>
 <DistinctParties>
  <DistinctParty FixedRef="501"><Comment/><Profile ID="501" PartySubTypeID="4"><Identity ID="1">
   <Alias FixedRef="501" AliasTypeID="1400" Primary="false" LowQuality="true"><DocumentedName>
    <DocumentedNamePart><NamePartValue>THE QUIET ONE</NamePartValue></DocumentedNamePart>
   </DocumentedName></Alias>
   <Alias FixedRef="501" AliasTypeID="1403" Primary="true" LowQuality="false"><DocumentedName>
    <DocumentedNamePart><NamePartValue>QUOLIMAR</NamePartValue></DocumentedNamePart>
    <DocumentedNamePart><NamePartValue>Zentrave</NamePartValue></DocumentedNamePart>
   </DocumentedName><DocumentedName>
    <DocumentedNamePart><NamePartValue ScriptID="220">Зентраве</NamePartValue></DocumentedNamePart>
    <DocumentedNamePart><NamePartValue ScriptID="220">Куолимар</NamePartValue></DocumentedNamePart>
   </DocumentedName></Alias></Identity>
   <Feature ID="1" FeatureTypeID="8"><FeatureVersion><DatePeriod CalendarTypeID="1">
    <Start Approximate="false"><From><Year>1961</Year><Month>3</Month><Day>7</Day></From></Start>
    <End Approximate="false"><To><Year>1961</Year><Month>3</Month><Day>7</Day></To></End>
   </DatePeriod></FeatureVersion></Feature>
   <Feature ID="2" FeatureTypeID="8"><FeatureVersion><DatePeriod CalendarTypeID="1">
    <Start Approximate="true"><From><Year>1963</Year><Month>1</Month><Day>1</Day></From></Start>
    <End Approximate="true"><To><Year>1963</Year><Month>12</Month><Day>31</Day></To></End>
   </DatePeriod></FeatureVersion></Feature>
   <Feature ID="3" FeatureTypeID="10"><FeatureVersion><VersionLocation LocationID="21"/>
   </FeatureVersion></Feature>
   <Feature ID="4" FeatureTypeID="9"><FeatureVersion><VersionDetail>Nowhere</VersionDetail>
   </FeatureVersion></Feature>
  </Profile></DistinctParty>
  <DistinctParty FixedRef="502"><Profile ID="502" PartySubTypeID="3"><Identity ID="2">
   <Alias AliasTypeID="1403" Primary="true" LowQuality="false"><DocumentedName>
    <DocumentedNamePart><NamePartValue>DRELLOW TRADING</NamePartValue></DocumentedNamePart>
   </DocumentedName></Alias>
   <Alias AliasTypeID="1401" Primary="false" LowQuality="false"><DocumentedName>
    <DocumentedNamePart><NamePartValue>DRELLOW BROTHERS</NamePartValue></DocumentedNamePart>
   </DocumentedName></Alias></Identity>
   <Feature ID="5" FeatureTypeID="25"><FeatureVersion><VersionLocation LocationID="22"/>
   </FeatureVersion></Feature></Profile></DistinctParty>
  <DistinctParty FixedRef="503"><Profile ID="503" PartySubTypeID="1"><Identity ID="3">
   <Alias AliasTypeID="1403" Primary="true" LowQuality="false"><DocumentedName>
    <DocumentedNamePart><NamePartValue>MARVELLA STAR</NamePartValue></DocumentedNamePart>
   </DocumentedName></Alias></Identity></Profile></DistinctParty>
 </DistinctParties>
 <SanctionsEntries>
  <SanctionsEntry ID="1" ProfileID="501" ListID="1550"><SanctionsMeasure SanctionsTypeID="1">
   <Comment>MADE-UP-1</Comment></SanctionsMeasure><SanctionsMeasure SanctionsTypeID="1">
   <Comment>MADE-UP-2</Comment></SanctionsMeasure></SanctionsEntry>
  <SanctionsEntry ID="2" ProfileID="502" ListID="1550"><SanctionsMeasure SanctionsTypeID="1">
   <Comment>MADE-UP-1</Comment></SanctionsMeasure></SanctionsEntry>
 </SanctionsEntries>
</Sanctions>
"""

UN_XML = """<?xml version="1.0" encoding="UTF-8"?>
<CONSOLIDATED_LIST dateGenerated="2026-11-20T00:00:00.000Z"><INDIVIDUALS>
 <INDIVIDUAL><DATAID>7000001</DATAID><VERSIONNUM>1</VERSIONNUM><FIRST_NAME>QUOLIMAR</FIRST_NAME>
  <SECOND_NAME>VANDRELL</SECOND_NAME><THIRD_NAME>ZENTRAVE</THIRD_NAME>
  <UN_LIST_TYPE>Freedonia</UN_LIST_TYPE><REFERENCE_NUMBER>FRi.001</REFERENCE_NUMBER>
  <NAME_ORIGINAL_SCRIPT>Куолимар Зентраве</NAME_ORIGINAL_SCRIPT>
  <NATIONALITY><VALUE>Freedonia</VALUE><VALUE>Sylvania</VALUE></NATIONALITY>
  <INDIVIDUAL_ALIAS><QUALITY>Good</QUALITY><ALIAS_NAME>Q. V.  Zentrave</ALIAS_NAME>
  </INDIVIDUAL_ALIAS>
  <INDIVIDUAL_ALIAS><QUALITY>Low</QUALITY><ALIAS_NAME>The Quiet One</ALIAS_NAME></INDIVIDUAL_ALIAS>
  <INDIVIDUAL_ALIAS><QUALITY/><ALIAS_NAME/></INDIVIDUAL_ALIAS>
  <INDIVIDUAL_ADDRESS><COUNTRY>Freedonia</COUNTRY></INDIVIDUAL_ADDRESS>
  <INDIVIDUAL_DATE_OF_BIRTH><TYPE_OF_DATE>EXACT</TYPE_OF_DATE><DATE>1961-03-07</DATE>
  </INDIVIDUAL_DATE_OF_BIRTH>
  <INDIVIDUAL_DATE_OF_BIRTH><TYPE_OF_DATE>APPROXIMATELY</TYPE_OF_DATE><YEAR>1963</YEAR>
  </INDIVIDUAL_DATE_OF_BIRTH>
  <INDIVIDUAL_DATE_OF_BIRTH><TYPE_OF_DATE>BETWEEN</TYPE_OF_DATE><FROM_YEAR>1965</FROM_YEAR>
  <TO_YEAR>1967</TO_YEAR></INDIVIDUAL_DATE_OF_BIRTH></INDIVIDUAL>
 </INDIVIDUALS><ENTITIES>
 <ENTITY><DATAID>7000002</DATAID><FIRST_NAME>DRELLOW TRADING &amp; CO</FIRST_NAME>
  <UN_LIST_TYPE>Sylvania</UN_LIST_TYPE><REFERENCE_NUMBER>SYe.002</REFERENCE_NUMBER>
  <ENTITY_ALIAS><QUALITY>f.k.a.</QUALITY><ALIAS_NAME>Drellow Brothers</ALIAS_NAME></ENTITY_ALIAS>
  <ENTITY_ADDRESS><CITY>Somewhere</CITY><COUNTRY>Sylvania</COUNTRY></ENTITY_ADDRESS></ENTITY>
 </ENTITIES></CONSOLIDATED_LIST>
"""


def table(columns: Sequence[str], rows: Sequence[Mapping[str, str]], delimiter: str) -> str:
    """A header and rows, of which only what is told is not empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def eu_row(number: str, reference: str, kind: str, **more: str) -> dict[str, str]:
    return {
        "fileGenerationDate": "20/11/2026",
        eu_csv.ENTITY: number,
        eu_csv.REFERENCE: reference,
        eu_csv.TYPE: kind[0].upper(),
        eu_csv.TYPE_CODE: kind,
        eu_csv.PROGRAMME: "MADEUP",
        **more,
    }


EU_CSV = "\ufeff" + table(
    ("fileGenerationDate", *eu_csv.COLUMNS, "Identification_Number"),
    [
        eu_row("13", "EU.27.28", "person", NameAlias_WholeName="Quolimar Zentrave"),
        eu_row("13", "EU.27.28", "person", NameAlias_WholeName='The "Quiet"; One'),
        eu_row("13", "EU.27.28", "person", NameAlias_WholeName="Куолимар Зентраве"),
        eu_row("13", "EU.27.28", "person", Address_City="Nowhere", Address_CountryIso2Code="00"),
        eu_row("13", "EU.27.28", "person", BirthDate_BirthDate="1961-03-07"),
        eu_row("13", "EU.27.28", "person", BirthDate_Year="1963", BirthDate_Month="5"),
        eu_row("13", "EU.27.28", "person", Citizenship_CountryIso2Code="AQ"),
        eu_row("14", "", "enterprise", NameAlias_WholeName="Drellow Trading"),
        eu_row("14", "", "enterprise", Address_CountryIso2Code="AQ"),
    ],
    ";",
)


def uk_row(number: str, kind: str, name: Sequence[str], **more: str) -> dict[str, str]:
    renamed = {key.replace("_", " "): value for key, value in more.items()}
    return {
        uk_csv.ENTRY: number,
        uk_csv.KINDS[0]: kind,
        uk_csv.REGIME: "The Made-Up (Sanctions) Regulations",
        uk_csv.NAME_TYPE: "Primary Name",
        **{f"Name {place}": part for place, part in zip((6, 1, 2), name, strict=False)},
        **renamed,
    }


UK_CSV = '"Report Date: 20-Nov-2026"\r\n' + table(
    ("Last Updated", *uk_csv.COLUMNS, uk_csv.KINDS[0], "OFSI Group ID"),
    [
        uk_row("MUP0001", "Individual", ["ZENTRAVE", "Quolimar", "V"])
        | {uk_csv.BIRTH_DATE: "07/03/1961", uk_csv.NATIONALITY: "Freedonia"},
        uk_row("MUP0001", "Individual", ["ZENTRAVE", "Q"], Name_type="Alias")
        | {uk_csv.BIRTH_DATE: "dd/mm/1963", uk_csv.NATIVE_NAME: "Куолимар Зентраве"},
        uk_row("MUP0001", "Individual", ["QUIET ONE"], Name_type="Alias")
        | {uk_csv.STRENGTH: "Low quality a.k.a", uk_csv.BIRTH_DATE: "00/05/1964"},
        uk_row("MUP0002", "Entity", ["DRELLOW TRADING"]) | {uk_csv.COUNTRY: "Sylvania"},
        uk_row("MUP0003", "Ship", ["MARVELLA STAR"]),
    ],
    ",",
)

NULLS = "-0- ,-0- ,-0- ,-0- ,-0- ,-0- ,-0- "
CONSOLIDATED_CSV = {
    "cons_prim.csv": (
        f'9001,"ZENTRAVE, Quolimar","individual","MADE-UP",{NULLS},"DOB 07 Mar 1961."\r\n'
        f'9002,"DRELLOW TRADING",-0- ,"MADE-UP",{NULLS},-0- \r\n\x1a'
    ).encode(),
    "cons_alt.csv": b'9002,1,"fka","DRELLOW BROTHERS",-0- \r\n\x1a',
    "cons_add.csv": b'9002,1,-0- ,-0- ,"Cuba",-0- \r\n\x1a',
}


@dataclass(frozen=True)
class Sample:
    """A format: how it is read, and a whole list in it; `file` is the main one."""

    parse: Callable[[Files], ParsedList]
    file: str
    files: Files

    def with_main(self, content: bytes) -> Files:
        return {**self.files, self.file: content}


SAMPLES = {
    "OFAC advanced XML": Sample(ofac_xml.parse, ofac_xml.FILE, {ofac_xml.FILE: OFAC_XML.encode()}),
    "OFAC consolidated CSV": Sample(sdn.parse_consolidated, "cons_prim.csv", CONSOLIDATED_CSV),
    "UN XML": Sample(un_xml.parse, un_xml.FILE, {un_xml.FILE: UN_XML.encode()}),
    "EU CSV": Sample(eu_csv.parse, eu_csv.FILE, {eu_csv.FILE: EU_CSV.encode()}),
    "UK CSV": Sample(uk_csv.parse, uk_csv.FILE, {uk_csv.FILE: UK_CSV.encode()}),
}
